-- The top bid of every auction that has one: between equal amounts the earlier bid wins.
SELECT auction_id, amount AS top_amount, bid_count, bidder_id AS top_bidder
FROM (
    SELECT
        auction_id,
        amount,
        bidder_id,
        COUNT(*) OVER (PARTITION BY auction_id) AS bid_count,
        ROW_NUMBER() OVER (PARTITION BY auction_id ORDER BY amount DESC, created_at, bid_id) AS place
    FROM bid
) AS ranked
WHERE place = 1;
