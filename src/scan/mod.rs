//! What both sides say: pages of rows paired with what Redis holds. Judges nothing.
