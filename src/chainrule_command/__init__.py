"""The command `chainrule`. It stands beside the package, so that it is there before the package is.

Importing takes some tenths of a second, and Ctrl-C means the same then as later: one line, and the
exit code 130.
"""

import os


def main() -> None:
    """Import Chainrule and run its command line."""
    try:
        import signal

        before = signal.getsignal(signal.SIGINT)
        if before is signal.default_int_handler:  # NumPy makes an ImportError of its exception
            signal.signal(signal.SIGINT, lambda number, frame: _stop())
        from chainrule.cli import main as command_line

        signal.signal(signal.SIGINT, before)
        command_line(prog_name="chainrule")
    except KeyboardInterrupt:
        _stop()


def _stop() -> None:
    os.write(2, b"stopped\n")
    os._exit(130)
