//! What is done about it: plan (pure), apply (the only writer of values), undo.
