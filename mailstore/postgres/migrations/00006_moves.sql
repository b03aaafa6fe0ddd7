-- Accounts on their way from one shard to another. Where one comes from, its rows are as ever until
-- it has left; where it goes to, ids and names of mailboxes are masked until it has: nobody finds them.

-- +goose Up
CREATE TABLE departures (
    account bytea   PRIMARY KEY, -- accounts.id
    token   bytea   NOT NULL,    -- of the process that moves it
    shard   text    NOT NULL,    -- where to
    gone    boolean NOT NULL DEFAULT false -- it has left: it is there, and nowhere else
);

CREATE TABLE arrivals (
    account bigint PRIMARY KEY,     -- accounts.account
    id      bytea  NOT NULL UNIQUE, -- what accounts.id will be
    token   bytea  NOT NULL,        -- of the process that moves it
    shard   text   NOT NULL,        -- where from
    owner   jsonb                   -- the rows of users and names, once all else is here
);

-- How mailboxes are called there and here, and how far each has come.
CREATE TABLE arriving_boxes (
    account bigint NOT NULL,
    source  bigint NOT NULL, -- mailboxes.box there
    box     bigint NOT NULL, -- mailboxes.box here
    id      bytea,           -- what mailboxes.id will be; NULL: the mailbox is gone, but bodies have its number
    name    text,            -- what mailboxes.name will be
    modseq  bigint NOT NULL DEFAULT 0, -- all changes up to this are here of messages up to uid
    uid     bigint NOT NULL DEFAULT 0,
    logged  bigint NOT NULL DEFAULT 0, -- the expunge log up to this modseq is here
    PRIMARY KEY (account, source)
);
