"""The command ``gmmlab``, also available as ``python -m gmmlab``: workbook and course together."""

import sys

from gmmlab._extras import extra

try:
    with extra("workbook"):
        from gmmlab.course.cli import course
        from gmmlab.workbook.cli import gmmlab, main
except ModuleNotFoundError as error:
    sys.exit(f"gmmlab: {error}")

gmmlab.add_command(course)

if __name__ == "__main__":
    main()
