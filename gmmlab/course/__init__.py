"""Problem sets: release, submission and grading.

checks              checks that tests apply to a student's functions; students have them too
cells               how nbgrader and the workbook mark the cells of a notebook
tables              CSV files that spreadsheets can open
roster              students and their personal seeds
assignment          the course folder, its problem sets, and nbgrader
release             the students' version of a problem set
submission          a submitted notebook, merged into the released one
sandbox             restrictions on the kernel that runs a submission
execution           running a submission within time limits
grades              the grade of a student, task by task
written_marks       points that the instructor gives for written answers
grading             grading all submissions of a problem set
feedback            pages for students, the table of grades, the summary of the class
selfcheck           test submissions by which a problem set is checked
cli                 the commands `gmmlab course ...`

The rest of the package imports only `checks` and `cli`. `checks` depends on the mixtures and not
on notebooks; all other modules depend on notebooks and not on mixtures. nbgrader does the
grading. It is the optional extra `course`, so it is imported only where it is used.
"""
