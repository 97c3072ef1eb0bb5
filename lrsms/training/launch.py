"""Starts a verb on several devices of this machine: ``torchrun`` without its messages, as part of the same job."""

import logging
import signal
import sys
import tempfile
from collections.abc import Sequence

from lrsms.training.interrupt import EXIT_STATUS, SIGNALS


def launch(num_devices: int, arguments: Sequence[str]) -> int:
    """Runs ``python -m lrsms`` with these arguments once for each device, and waits for all.

    If one fails, the others are ended. Signals are passed on, and the processes have 30 s to end.

    Returns:
        The exit status; if a process failed, that of the first one that failed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the processes themselves say what went wrong
    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_devices,
            run_id="lrsms",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            monitor_interval=0.1,
            signals_to_handle="SIGINT,SIGHUP,SIGQUIT," + ",".join(each.name for each in SIGNALS),
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "lrsms", *arguments)
        except SignalException as asked:
            return EXIT_STATUS if asked.sigval in SIGNALS else 128 + asked.sigval
        except ChildFailedError as failed:
            statuses = {failure.exitcode for failure in failed.failures.values()}
            # When one process ends on request, the launcher ends the others.
            if EXIT_STATUS in statuses and statuses <= {EXIT_STATUS, -signal.SIGTERM}:
                return EXIT_STATUS
            status = failed.get_first_failure()[1].exitcode
            return status if status > 0 else 128 - status
    return 0
