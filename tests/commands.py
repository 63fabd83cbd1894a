"""The command of the package, run in this process."""

import subprocess

from montezarr import cli


def run_here(capsys, *arguments):
    """Return what a child process would end with: this one has imported all that it takes."""
    status = 0
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        status = stopped.code
    return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())
