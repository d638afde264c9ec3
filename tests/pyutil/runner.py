"""Runs a file's unittest cases and prints one line each: `PASS name`, `FAIL name: reason`, `SKIP name: reason`.

A test file ends with:  if __name__ == "__main__": runner.main()
Its arguments are words that select cases by substring; `-v` prints whole tracebacks.
"""
import os
import sys
import time
import unittest


class _Lines(unittest.TestResult):
    def __init__(self, prefix, verbose):
        super().__init__()
        self.prefix, self.verbose = prefix, verbose

    def _name(self, test):
        words = test.id().split(".")
        return f"{self.prefix}.{'.'.join(words[-2:])}"

    def _line(self, word, test, reason=""):
        print(f"{word} {self._name(test)}{': ' + reason if reason else ''}", flush=True)

    def _failed(self, test, err):
        text = " ".join(str(err[1]).split()) or err[0].__name__
        self._line("FAIL", test, f"{err[0].__name__}: {text}"[:600])
        if self.verbose:
            print(self._exc_info_to_string(err, test))

    def addSuccess(self, test): self._line("PASS", test)
    def addSkip(self, test, reason): self._line("SKIP", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._failed(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._failed(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            super().addSubTest(test, subtest, err)
            self._failed(subtest, err)

    def addExpectedFailure(self, test, err): self._line("FAIL", test, "expected failures are not used here")
    def addUnexpectedSuccess(self, test): self._line("PASS", test)


def main(module="__main__"):
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    prefix = os.path.splitext(os.path.basename(sys.argv[0]))[0].removesuffix("_test")
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[module])
    chosen = unittest.TestSuite()

    def flatten(item):
        for test in item:
            if isinstance(test, unittest.TestSuite):
                flatten(test)
            elif not words or any(w in test.id() for w in words):
                chosen.addTest(test)

    flatten(suite)
    start = time.monotonic()
    result = _Lines(prefix, "-v" in sys.argv)
    chosen.run(result)
    print(f"# {prefix}: {result.testsRun} cases in {time.monotonic() - start:.1f} s", flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
