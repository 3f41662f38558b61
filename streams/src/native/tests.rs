//! What can be seen with the library's own pretended broker; `tests/e2e` has the rest.
