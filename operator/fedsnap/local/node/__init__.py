"""A node agent that runs pods as processes, so that the embedded cluster works without containers.

For the demo and the tests only: processes are not isolated from each other or from the machine.
"""
