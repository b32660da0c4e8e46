//! The application's other half: bids that go through a Redis stream and end in a table.
//!
//! | stream, group | table | a bid is named by | is |
//! |---|---|---|---|
//! | `bid-stream`, `bid-group` | `bid`, then `bid_effect`; or `bid_rejected` | `bidId`, drawn by the customer | known to the customer as placed once its row is there |
//! | `bid2-stream`, `bid2-group` | `bid2` | the id of the entry | acknowledged to the customer after XADD: Redis is written before MySQL |
//! | `bid3-stream`, `bid3-group` | `bid3` | `bidId` | as the first, but nobody has made the group yet |
//!
//! Every stream also carries entries of another type, `AUCTION_VIEW`, which the group reads and acknowledges
//! without a row. A consumer reads, writes the rows, and only then acknowledges; it takes a row that is there
//! already for its own earlier work. It can be told to die between any two of these steps. A row by `bidId` is
//! dated (`created_at`) as its entry is (`at`).

mod app;
mod cases;
mod consumer;
mod entry;
mod layout;
mod log;
mod persist;
mod plant;
mod producer;
mod run;

pub use self::app::StreamApp;
pub(in crate::lab) use self::app::unfit;
pub use self::cases::{GONE, LIVE, Planted, StreamCase};
pub use self::consumer::{Alive, Consumer, Fate, KillAt};
pub use self::entry::{Bid, Message, SAVE, VIEW};
pub use self::layout::Layout;
pub use self::log::{StreamAct, StreamEvent};
pub use self::producer::Producer;
pub use self::run::{StreamLoad, StreamRunning, StreamTally};
