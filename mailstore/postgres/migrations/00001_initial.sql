-- The first schema. Keys lead with the account: no transaction crosses
-- accounts, and an account can be moved whole. Numbers (account, box, body) are internal
-- and never reused; what other nodes and clients see are the 16-byte ids.
--
-- Locks are taken in this order: rows of mailboxes by id, then the row of
-- accounts. Whoever holds an account's row alone changes its usage, its names,
-- its threads and the owners of its bodies.

-- +goose Up
CREATE TABLE store (
    one        integer PRIMARY KEY CHECK (one = 1),
    system     bytea   NOT NULL,            -- random: this store and no other
    line       bigint  NOT NULL,            -- Change.Line
    feed_floor xid8    NOT NULL DEFAULT '0', -- the highest transaction of which the feed lost a row
    orphans_at timestamptz NOT NULL DEFAULT clock_timestamp() -- when blobs without a message were last looked for
);

CREATE TABLE accounts (
    account        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             bytea  NOT NULL UNIQUE,
    uidvalidity    bigint NOT NULL DEFAULT 0, -- the last one given out
    storage        bigint NOT NULL DEFAULT 0, -- usage: bytes
    messages       bigint NOT NULL DEFAULT 0, -- usage: messages
    storage_limit  bigint,                    -- NULL: the default limits hold
    messages_limit bigint
) WITH (fillfactor = 50);

CREATE TABLE users (
    name     text COLLATE "C" PRIMARY KEY,
    account  bigint  NOT NULL UNIQUE,
    password text    NOT NULL,
    disabled boolean NOT NULL,
    admin    boolean NOT NULL,
    created  bigint  NOT NULL -- Unix seconds
);

-- User names and aliases: one space.
CREATE TABLE names (
    name     text COLLATE "C" PRIMARY KEY,
    username text COLLATE "C" NOT NULL
);
CREATE INDEX names_by_user ON names (username);

CREATE TABLE mailboxes (
    account      bigint NOT NULL,
    box          bigint GENERATED ALWAYS AS IDENTITY CHECK (box < 2147483648),
    id           bytea  NOT NULL UNIQUE,
    name         text COLLATE "C" NOT NULL,
    use          text   NOT NULL, -- special uses, separated by spaces
    uidvalidity  bigint NOT NULL,
    uidnext      bigint NOT NULL DEFAULT 1,
    modseq       bigint NOT NULL DEFAULT 1,
    floor        bigint NOT NULL DEFAULT 0, -- the expunge log is complete after this modseq
    recent_from  bigint NOT NULL DEFAULT 1,
    messages     bigint NOT NULL DEFAULT 0,
    unseen       bigint NOT NULL DEFAULT 0,
    deleted      bigint NOT NULL DEFAULT 0,
    size         bigint NOT NULL DEFAULT 0,
    deleted_size bigint NOT NULL DEFAULT 0,
    keywords     text[] NOT NULL DEFAULT '{}', -- in the order of first use
    PRIMARY KEY (account, box),
    UNIQUE (account, name)
) WITH (fillfactor = 50);

CREATE TABLE subscriptions (
    account bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    PRIMARY KEY (account, name)
);

-- What changes, in small rows: a page of flags reads nothing else.
CREATE TABLE messages (
    account  bigint   NOT NULL,
    box      bigint   NOT NULL,
    uid      bigint   NOT NULL,
    modseq   bigint   NOT NULL,
    created  bigint   NOT NULL, -- modseq of the append
    body     bigint   NOT NULL,
    size     bigint   NOT NULL,
    received bigint   NOT NULL, -- INTERNALDATE: Unix seconds
    saved    bigint   NOT NULL, -- SAVEDATE: Unix seconds
    zone     integer  NOT NULL, -- of INTERNALDATE: seconds east of UTC
    flags    smallint NOT NULL, -- mailbox.SystemFlags
    keywords text     NOT NULL,
    thread   bytea    NOT NULL,
    PRIMARY KEY (account, box, uid)
) WITH (fillfactor = 90);
-- Of a mailbox (the numbers of boxes are one account's each). It is by -box so that
-- a search by account and box can use nothing but the primary key: what the planner thinks it knows of a mailbox's
-- size is wrong for the largest.
CREATE INDEX messages_by_modseq ON messages ((-box), modseq);

-- What never changes, shared by the copies of a message. A body's number is
-- box << 32 | uid of the first message that had it.
CREATE TABLE bodies (
    account   bigint   NOT NULL,
    body      bigint   NOT NULL,
    encoding  smallint NOT NULL, -- incoming.Encoding
    email_id  bytea    NOT NULL,
    preview   bytea    NOT NULL, -- UTF-8, but it may hold NUL
    blob      bytea,             -- NULL: data has the bytes
    structure bytea    NOT NULL, -- message.Decode; the ENVELOPE is its first field
    data      bytea,
    PRIMARY KEY (account, body)
);
ALTER TABLE bodies ALTER COLUMN data SET STORAGE EXTERNAL; -- is packed already
CREATE INDEX bodies_by_blob ON bodies (blob) WHERE blob IS NOT NULL;

-- Bodies with more than one message.
CREATE TABLE shared (
    account bigint NOT NULL,
    body    bigint NOT NULL,
    owners  bigint NOT NULL CHECK (owners > 1),
    PRIMARY KEY (account, body)
);

-- By hash of Message-ID.
CREATE TABLE threads (
    account bigint NOT NULL,
    key     bytea  NOT NULL,
    thread  bytea  NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE TABLE expunged (
    account bigint NOT NULL,
    box     bigint NOT NULL,
    modseq  bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    uids    bytea  NOT NULL,
    PRIMARY KEY (account, box, modseq)
);
CREATE INDEX expunged_by_time ON expunged (at);

-- Rows are written with their mailbox locked, so seq is each mailbox's own
-- order. It must be drawn one by one: no CACHE.
CREATE TABLE feed (
    seq   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid   xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    event bytea       NOT NULL
);
CREATE INDEX feed_by_xid ON feed (xid);

-- What is gone and waits to be cleared away, a piece at a time.
CREATE TABLE dead_boxes (
    account bigint NOT NULL,
    box     bigint NOT NULL,
    PRIMARY KEY (account, box)
);
CREATE TABLE dead_accounts (account bigint PRIMARY KEY);
CREATE TABLE dead_blobs (
    blob  bytea PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT clock_timestamp(), -- when it came into its state
    state smallint NOT NULL DEFAULT 0 -- 0: without a message; 1: no message may have it again; 2: deleted
);
CREATE INDEX dead_blobs_by_time ON dead_blobs (state, at);

-- +goose StatementBegin
-- starling_must fails with SQLSTATE STAR1 unless ok: what a transaction was
-- built on is not so any more.
CREATE FUNCTION starling_must(ok boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF ok IS NOT TRUE THEN
        RAISE EXCEPTION 'stale' USING ERRCODE = 'STAR1';
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- starling_thread finds the thread of a message, or begins one, and remembers
-- the keys that belong to it: 16 bytes each, in the order of looking. The account is locked.
CREATE FUNCTION starling_thread(acct bigint, keys bytea, fallback bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    n     integer := length(keys) / 16;
    found bytea;
BEGIN
    FOR i IN 0 .. n - 1 LOOP
        SELECT t.thread INTO found FROM threads t WHERE t.account = acct AND t.key = substr(keys, i * 16 + 1, 16);
        EXIT WHEN found IS NOT NULL;
    END LOOP;
    found := coalesce(found, fallback);
    IF n > 0 THEN
        INSERT INTO threads (account, key, thread)
            SELECT acct, substr(keys, i * 16 + 1, 16), found FROM generate_series(0, n - 1) i ON CONFLICT DO NOTHING;
    END IF;
    RETURN found;
END
$$;
-- +goose StatementEnd
