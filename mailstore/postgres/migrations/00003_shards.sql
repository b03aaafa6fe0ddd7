-- Several databases as one mail store: each knows which of them it is, and the
-- first has the directory of who is where.

-- +goose Up
ALTER TABLE store ADD COLUMN shard text;      -- its name; NULL: the database is alone
ALTER TABLE store ADD COLUMN directory bytea; -- store.system of the shard with the directory

-- An entry is there before its account and goes after it.
CREATE TABLE directory (
    account  bytea    PRIMARY KEY, -- accounts.id
    username text     COLLATE "C" NOT NULL,
    shard    text     NOT NULL,
    state    smallint NOT NULL,    -- 0: being added, 1: settled, 2: being removed
    moving   text                  -- the shard that it is being moved to
);
CREATE INDEX directory_moving ON directory (account) WHERE moving IS NOT NULL;

-- User names and aliases of all shards: one space.
CREATE TABLE directory_names (
    name    text COLLATE "C" PRIMARY KEY,
    account bytea NOT NULL
);
CREATE INDEX directory_names_by_account ON directory_names (account);
