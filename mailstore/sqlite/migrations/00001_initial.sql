-- The first schema. Numbers (account, box, body) are internal and never reused;
-- what other nodes and clients see are the 16-byte ids.

-- +goose Up
CREATE TABLE store (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    system        BLOB    NOT NULL, -- random: this store and no other
    line          INTEGER NOT NULL, -- Change.Line
    commits       INTEGER NOT NULL, -- counts commits without an event, to learn the outcome of one
    feed_floor    INTEGER NOT NULL, -- the last trimmed row of the feed
    feed_floor_at INTEGER NOT NULL  -- and its time
) STRICT;

CREATE TABLE accounts (
    account        INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB    NOT NULL UNIQUE,
    uidvalidity    INTEGER NOT NULL, -- the last one given out
    storage        INTEGER NOT NULL, -- usage: bytes
    messages       INTEGER NOT NULL, -- usage: messages
    storage_limit  INTEGER,          -- NULL: the default limits hold
    messages_limit INTEGER
) STRICT;

CREATE TABLE users (
    name     TEXT    PRIMARY KEY,
    account  INTEGER NOT NULL UNIQUE,
    password TEXT    NOT NULL,
    disabled INTEGER NOT NULL,
    admin    INTEGER NOT NULL,
    created  INTEGER NOT NULL -- Unix seconds
) STRICT, WITHOUT ROWID;

-- User names and aliases: one space.
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    user TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_user ON names (user);

CREATE TABLE mailboxes (
    box          INTEGER PRIMARY KEY AUTOINCREMENT, -- below 2^31
    id           BLOB    NOT NULL UNIQUE,
    account      INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    use          TEXT    NOT NULL, -- special uses, separated by spaces
    uidvalidity  INTEGER NOT NULL,
    uidnext      INTEGER NOT NULL,
    modseq       INTEGER NOT NULL,
    floor        INTEGER NOT NULL, -- the expunge log is complete after this modseq
    recent_from  INTEGER NOT NULL,
    messages     INTEGER NOT NULL,
    unseen       INTEGER NOT NULL,
    deleted      INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    deleted_size INTEGER NOT NULL,
    UNIQUE (account, name)
) STRICT;

CREATE TABLE subscriptions (
    account INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- In the order of first use; n counts from 0.
CREATE TABLE keywords (
    box  INTEGER NOT NULL,
    n    INTEGER NOT NULL,
    name TEXT    NOT NULL,
    PRIMARY KEY (box, n)
) STRICT, WITHOUT ROWID;

-- What changes, in small rows: a page of flags reads nothing else.
CREATE TABLE messages (
    box      INTEGER NOT NULL,
    uid      INTEGER NOT NULL,
    modseq   INTEGER NOT NULL,
    created  INTEGER NOT NULL, -- modseq of the append
    flags    INTEGER NOT NULL, -- mailbox.SystemFlags
    keywords TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    received INTEGER NOT NULL, -- INTERNALDATE: Unix seconds
    zone     INTEGER NOT NULL, -- and seconds east of UTC
    saved    INTEGER NOT NULL, -- SAVEDATE: Unix seconds
    body     INTEGER NOT NULL,
    thread   BLOB    NOT NULL,
    PRIMARY KEY (box, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_by_modseq ON messages (box, modseq);

-- What never changes, shared by the copies of a message. A body's number is
-- box << 32 | uid of the first message that had it, so that a mailbox's rows lie
-- together in its order.
CREATE TABLE contents (
    body      INTEGER PRIMARY KEY,
    email_id  BLOB NOT NULL,
    structure BLOB NOT NULL, -- message.Decode; the ENVELOPE is its first field
    preview   TEXT NOT NULL
) STRICT;

CREATE TABLE bodies (
    body     INTEGER PRIMARY KEY,
    encoding INTEGER NOT NULL, -- incoming.Encoding
    data     BLOB,             -- NULL: in the blob
    blob     BLOB
) STRICT;
CREATE INDEX bodies_by_blob ON bodies (blob) WHERE blob IS NOT NULL;

-- Bodies with more than one message.
CREATE TABLE shared (
    body   INTEGER PRIMARY KEY,
    owners INTEGER NOT NULL CHECK (owners > 1)
) STRICT;

-- By hash of Message-ID.
CREATE TABLE threads (
    account INTEGER NOT NULL,
    key     BLOB    NOT NULL,
    thread  BLOB    NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE expunged (
    box    INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    at     INTEGER NOT NULL, -- Unix seconds
    uids   BLOB    NOT NULL,
    PRIMARY KEY (box, modseq)
) STRICT, WITHOUT ROWID;

CREATE TABLE feed (
    seq   INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL, -- Unix microseconds
    event BLOB    NOT NULL
) STRICT;

-- What is gone and waits to be cleared away, a piece at a time.
CREATE TABLE dead_boxes (box INTEGER PRIMARY KEY) STRICT;
CREATE TABLE dead_accounts (account INTEGER PRIMARY KEY) STRICT;
CREATE TABLE dead_blobs (blob BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
