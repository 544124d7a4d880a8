"""Problem sets: released, handed in, graded, handed back.

checks      what tests say of a student's functions
"""
