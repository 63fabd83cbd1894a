"""Jobs: a configuration file in, paths, risk and a picture out."""

from montezarr.cli.job.config import Config, load
from montezarr.cli.job.run import JobResult, Prepared, execute, prepare

__all__ = ["Config", "JobResult", "Prepared", "execute", "load", "prepare"]
