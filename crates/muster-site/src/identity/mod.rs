//! Who may talk: enrolment, approval, blocking, administrators, sessions, the trust bundle.
