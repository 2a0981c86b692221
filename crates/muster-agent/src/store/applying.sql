-- Beside the deployments: made where they are not there yet.
-- Which command of which object runs or ran last, how often it did not work, what is waited for, and what was said last.
CREATE TABLE IF NOT EXISTS deployment_run (
  id TEXT PRIMARY KEY, application TEXT, verb TEXT, tries INTEGER NOT NULL, waits TEXT, boot TEXT, said TEXT NOT NULL
) STRICT;
-- What a user of the machine wants of a deployment that is offered.
CREATE TABLE IF NOT EXISTS intent (id TEXT PRIMARY KEY, verb TEXT NOT NULL, user INTEGER NOT NULL, since INTEGER NOT NULL) STRICT;
-- Deployments that need a restart, and in which run of the system that was so.
CREATE TABLE IF NOT EXISTS restart (id TEXT PRIMARY KEY, application TEXT NOT NULL, boot TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
-- When a user last had which command of a deployment begun: not again at once.
CREATE TABLE IF NOT EXISTS asked (
  id TEXT NOT NULL, verb TEXT NOT NULL, user INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (id, verb)
) STRICT;
-- What is there because a user had it installed, and which one.
CREATE TABLE IF NOT EXISTS installed (id TEXT PRIMARY KEY, user INTEGER NOT NULL) STRICT;
-- How often users put a deployment of this object off, and until when.
CREATE TABLE IF NOT EXISTS deferral (
  id TEXT PRIMARY KEY, application TEXT NOT NULL, count INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT;
-- The last attempt of a deployment that the site asked for and that was begun.
CREATE TABLE IF NOT EXISTS attempt (id TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
-- Of applications with several deployment types: the place of the one that is taken, and of the one whose command runs or ran last.
CREATE TABLE IF NOT EXISTS deployment_type (id TEXT PRIMARY KEY, own INTEGER, runs INTEGER) STRICT;
-- The last run of each program for each deployment. It stays when the deployment is gone: what ran once is known to have run.
-- due: for which time it ran. outcome: how it ended; `unknown` from its beginning on. `wanted`: an administrator asked for another one.
CREATE TABLE IF NOT EXISTS program_run (
  application TEXT NOT NULL, deployment TEXT NOT NULL, due INTEGER NOT NULL, started INTEGER NOT NULL, outcome TEXT NOT NULL, code INTEGER,
  PRIMARY KEY (application, deployment)
) STRICT;
