-- The schema of the auction application that the demo and the tests run. Every time is UTC.
-- The auditor itself needs no table.

CREATE TABLE users (
    id         BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    name       VARCHAR(64)     NOT NULL,
    grade      ENUM('BASIC', 'SILVER', 'VIP') NOT NULL,
    rating     DECIMAL(4, 2)   NOT NULL,
    -- Raised by one with every change of the row; it travels in the cached profile.
    version    BIGINT UNSIGNED NOT NULL,
    balance    BIGINT          NOT NULL,
    points     BIGINT          NOT NULL,
    updated_at DATETIME(6)     NOT NULL,
    -- The tombstone: rows are never removed.
    deleted_at DATETIME(6)     NULL,
    KEY (updated_at),
    KEY (deleted_at)
) CHARACTER SET utf8mb4;

CREATE TABLE auction (
    id         BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    title      VARCHAR(128)    NOT NULL,
    status     ENUM('OPEN', 'CLOSING', 'CLOSED') NOT NULL,
    ends_at    DATETIME(6)     NOT NULL,
    updated_at DATETIME(6)     NOT NULL,
    KEY (updated_at)
) CHARACTER SET utf8mb4;

CREATE TABLE bid (
    bid_id     CHAR(36)        NOT NULL PRIMARY KEY,
    auction_id BIGINT UNSIGNED NOT NULL,
    bidder_id  BIGINT UNSIGNED NOT NULL,
    amount     BIGINT          NOT NULL,
    created_at DATETIME(6)     NOT NULL,
    KEY (created_at),
    KEY (auction_id)
) CHARACTER SET utf8mb4;
