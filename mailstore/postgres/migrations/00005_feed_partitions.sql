-- The feed in partitions by time, so that what has passed its time is dropped, not
-- deleted row by row. Nodes go on writing meanwhile: only the last step locks them out, for
-- a moment, and it looks at no row.

-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
-- The old table becomes the first partition, until tomorrow.
DO $$
BEGIN
    ALTER TABLE feed DROP CONSTRAINT IF EXISTS feed_until;
    EXECUTE format('ALTER TABLE feed ADD CONSTRAINT feed_until CHECK (at < %L) NOT VALID', date_trunc('second', now() + interval '1 day'));
END
$$;
-- +goose StatementEnd

ALTER TABLE feed VALIDATE CONSTRAINT feed_until;

-- +goose StatementBegin
DO $$
DECLARE
    last  bigint;
    until timestamptz := (SELECT substring(pg_get_constraintdef(oid) FROM '''([^'']+)''')::timestamptz
        FROM pg_constraint WHERE conrelid = 'feed'::regclass AND conname = 'feed_until');
BEGIN
    SET LOCAL lock_timeout = '10s';
    LOCK TABLE feed IN ACCESS EXCLUSIVE MODE;
    SELECT seq INTO last FROM feed ORDER BY seq DESC LIMIT 1;
    ALTER TABLE feed ALTER seq DROP IDENTITY;
    ALTER TABLE feed RENAME TO feed_first;
    ALTER TABLE feed_first DROP CONSTRAINT feed_pkey;
    ALTER INDEX feed_by_xid RENAME TO feed_first_by_xid;

    -- Rows are written with their mailbox locked, so seq is each mailbox's own
    -- order. It must be drawn one by one: no CACHE.
    CREATE SEQUENCE feed_seq;
    PERFORM setval('feed_seq', coalesce(last, 0) + 1, false);
    CREATE TABLE feed (
        seq   bigint      NOT NULL DEFAULT nextval('feed_seq'),
        xid   xid8        NOT NULL DEFAULT pg_current_xact_id(),
        at    timestamptz NOT NULL DEFAULT clock_timestamp(),
        event bytea       NOT NULL
    ) PARTITION BY RANGE (at);
    ALTER SEQUENCE feed_seq OWNED BY feed.seq;
    CREATE INDEX feed_by_xid ON feed (xid);
    -- The partitions. Nodes make them ahead of time, and whenever a row finds none.
    CREATE TABLE feed_parts (
        name  text        PRIMARY KEY,
        since timestamptz NOT NULL,
        until timestamptz NOT NULL -- exclusive
    );
    IF last IS NULL THEN
        DROP TABLE feed_first;
    ELSE
        EXECUTE format('ALTER TABLE feed ATTACH PARTITION feed_first FOR VALUES FROM (MINVALUE) TO (%L)', until);
        ALTER TABLE feed_first DROP CONSTRAINT feed_until;
        INSERT INTO feed_parts VALUES ('feed_first', '-infinity', until);
    END IF;
END
$$;
-- +goose StatementEnd
