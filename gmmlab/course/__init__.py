"""Problem sets: released, handed in, graded, handed back.

    checks      what tests say of a student's functions; students have these too
    roster      students, and the data that are each one's own
    folder      the folder of a course, and how nbgrader sees it
    release     what students get
    handin      what was handed in, put into the notebook that was given out
    guard       a kernel held to the folder of a submission
    execution   running a submission, within limits
    grading     one submission after the other, none of which stops the next
    marks       points for written answers
    feedback    what comes back: pages, the table of grades, the mistakes of the class
    soundness, hostile
                made-up submissions, by which a problem set is tried
    cli         the commands `gmmlab course …`

Checks know mixtures and no notebooks; all else knows notebooks and no mixtures. nbgrader, which
does the work, is the extra `course`; it is imported where it is used.
"""
