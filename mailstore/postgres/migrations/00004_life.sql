-- What a restore or a fail-over may have lost was told to clients. So after either all
-- numbers jump ahead; these columns remember it.

-- +goose Up
ALTER TABLE store ADD COLUMN life text; -- of the server and this table, when the numbers were last made sure of; NULL: as they are now
ALTER TABLE mailboxes
    ADD COLUMN base       bigint NOT NULL DEFAULT 0, -- no message has a lower modseq, whatever its row says
    ADD COLUMN ended      bigint NOT NULL DEFAULT 0, -- modseq before the last jump
    ADD COLUMN ended_line bigint NOT NULL DEFAULT 0; -- store.line until then; 0: there was no jump
