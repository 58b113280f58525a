"""The other ways to do what bulkgen does, one small file each.

A peer is called the way its documentation says, on the input it likes best, and does no more than the job asks for.
"""
