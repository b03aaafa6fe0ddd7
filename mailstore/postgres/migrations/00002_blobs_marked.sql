-- Nodes find out whether they all have the same blobs.

-- +goose Up
ALTER TABLE store ADD COLUMN blobs_marked boolean NOT NULL DEFAULT false; -- one of the blobs is named by store.system
