"""`python -m chainrule.torch SCRIPT.py` is `chainrule run SCRIPT.py`."""

import sys

from chainrule.torch.script import main

if __name__ == "__main__":
    sys.exit(main())
