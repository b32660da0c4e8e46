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
    created_at DATETIME(6)     NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    KEY (created_at),
    KEY (auction_id)
) CHARACTER SET utf8mb4;

-- What else an accepted bid of `bid-stream` brings about, in a transaction after the bid's own.
CREATE TABLE bid_effect (
    bid_id     CHAR(36)        NOT NULL PRIMARY KEY,
    auction_id BIGINT UNSIGNED NOT NULL,
    amount     BIGINT          NOT NULL,
    created_at DATETIME(6)     NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) CHARACTER SET utf8mb4;

-- A bid below the price leaves its mark here, and no row in `bid`.
CREATE TABLE bid_rejected (
    bid_id     CHAR(36)        NOT NULL PRIMARY KEY,
    price      BIGINT          NOT NULL,
    created_at DATETIME(6)     NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) CHARACTER SET utf8mb4;

-- Bids of `bid2-stream`: the entry's id is the only name of a bid, and Redis is written first.
CREATE TABLE bid2 (
    stream_id  VARCHAR(41)     NOT NULL PRIMARY KEY,
    auction_id BIGINT UNSIGNED NOT NULL,
    bidder_id  BIGINT UNSIGNED NOT NULL,
    amount     BIGINT          NOT NULL,
    placed_at  DATETIME(3)     NOT NULL,
    created_at DATETIME(6)     NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    -- A bid that is moved gets another id; this keeps a slow consumer from inserting it a second time under the old one.
    UNIQUE KEY one_bid (auction_id, bidder_id, amount, placed_at),
    KEY (created_at)
) CHARACTER SET utf8mb4;

-- Bids of `bid3-stream`, which is as `bid-stream` is, but whose group is made later.
CREATE TABLE bid3 (
    bid_id     CHAR(36)        NOT NULL PRIMARY KEY,
    auction_id BIGINT UNSIGNED NOT NULL,
    bidder_id  BIGINT UNSIGNED NOT NULL,
    amount     BIGINT          NOT NULL,
    created_at DATETIME(6)     NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    KEY (created_at)
) CHARACTER SET utf8mb4;
