//! What happened: reports, status messages, audit, the dashboard.
