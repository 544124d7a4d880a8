"""The command ``gmmlab``, also as ``python -m gmmlab``: here workbook and course meet."""

from gmmlab.course.cli import course
from gmmlab.workbook.cli import gmmlab, main

gmmlab.add_command(course)

if __name__ == "__main__":
    main()
