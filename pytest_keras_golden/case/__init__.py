"""One test's life, in one direction: collected, judged by rules, finished."""
