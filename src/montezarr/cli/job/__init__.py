"""Jobs: a configuration file in, paths, risk and a picture out."""

from montezarr.cli.job.config import Config, load_config
from montezarr.cli.job.run import JobResult, Prepared, prepare_job, run_job

__all__ = ["Config", "JobResult", "Prepared", "load_config", "prepare_job", "run_job"]
