"""``python -m gmmlab`` is the command ``gmmlab``."""

from gmmlab.workbook.cli import main

if __name__ == "__main__":
    main()
