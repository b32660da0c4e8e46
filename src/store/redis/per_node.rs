//! What differs from node to node of one writer.

/// One value for each node, in the order in which they were pinned; a single one holds for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerNode<T>(Vec<T>);

impl<T> PerNode<T> {
    /// The same for every node.
    pub fn all(value: T) -> Self {
        Self(vec![value])
    }

    /// One each, in the nodes' order. There is no writer without a node.
    pub fn each(values: Vec<T>) -> Self {
        assert!(!values.is_empty(), "a writer has at least one node");
        Self(values)
    }

    pub fn of(&self, node: usize) -> &T {
        let last = self.0.len() - 1;
        &self.0[node.min(last)]
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Both values of each node put together.
    pub fn zip<U, V>(&self, other: &PerNode<U>, mut join: impl FnMut(&T, &U) -> V) -> PerNode<V> {
        let count = self.0.len().max(other.0.len());
        PerNode(
            (0..count)
                .map(|node| join(self.of(node), other.of(node)))
                .collect(),
        )
    }

    pub fn map<U>(&self, change: impl FnMut(&T) -> U) -> PerNode<U> {
        PerNode(self.0.iter().map(change).collect())
    }
}
