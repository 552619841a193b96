"""What tests in several rooms build on: one fake engine, one crash harness, rows and runs made by hand. Holds no fixture.

`from tests.support.engine import FakeEngine` works in tests, and in the scripts that `processes.run_script` starts.
"""
