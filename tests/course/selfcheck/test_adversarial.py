"""Submissions that disturb grading."""

from courses import LIMITS

from gmmlab.course.selfcheck.adversarial import check_adversarial

#: a sample; `gmmlab course check` hands in all of them
SAMPLE = (
    "an endless loop",
    "the kernel is killed",
    "large output",
    "not JSON",
    "a link",
    "writes elsewhere",
    "reads the solution",
)


def test_adversarial_submissions_do_not_affect_others(scene):
    found = list(check_adversarial(scene, only=SAMPLE, limits=LIMITS))
    assert [finding for finding in found if not finding.passed] == []
    assert len(found) == len(SAMPLE) + 3
