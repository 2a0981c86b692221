//! The picture of how collections hang together: what one depends on above it, what depends on it below.

use muster_model::{
    api::{CollectionEdge, CollectionRelation},
    id::{CollectionId, Name},
};
use std::collections::BTreeMap;

/// Width and height of a box, and of the place that it has.
const BOX: (usize, usize) = (200, 44);
const PLACE: (usize, usize) = (224, 96);
/// Characters of a name that fit into a box.
const FIT: usize = 24;

/// A box.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) x: usize,
    pub(crate) y: usize,
    /// The middle of the box, for its text.
    pub(crate) middle: usize,
    pub(crate) id: CollectionId,
    pub(crate) label: String,
    pub(crate) own: bool,
}

/// A line from what depends to what it depends on.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) from: (usize, usize),
    pub(crate) to: (usize, usize),
    pub(crate) relation: CollectionRelation,
}

/// The picture.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) places: Vec<Place>,
    pub(crate) lines: Vec<Line>,
}

impl Picture {
    /// The picture around a collection.
    pub(crate) fn new(own: CollectionId, name: &Name, edges: &[CollectionEdge]) -> Self {
        let mut names: BTreeMap<CollectionId, &Name> = BTreeMap::from([(own, name)]);
        for edge in edges {
            names.entry(edge.dependent).or_insert(&edge.dependent_name);
            names.entry(edge.source).or_insert(&edge.source_name);
        }
        // How far above or below everything else: as far as its farthest way, so that every line goes down.
        let mut rows: BTreeMap<CollectionId, usize> = names.keys().map(|id| (*id, 0)).collect();
        for _ in 0..names.len() {
            for edge in edges {
                let below = rows.get(&edge.source).copied().unwrap_or_default() + 1;
                let row = rows.entry(edge.dependent).or_default();
                *row = (*row).max(below);
            }
        }
        let mut columns: BTreeMap<usize, usize> = BTreeMap::new();
        let mut places = Vec::new();
        for (id, name) in &names {
            let row = rows.get(id).copied().unwrap_or_default();
            let column = columns.entry(row).or_default();
            let (x, y) = (*column * PLACE.0 + 12, row * PLACE.1 + 12);
            *column += 1;
            places.push(Place { x, y, middle: x + BOX.0 / 2, id: *id, label: fitted(name.as_str()), own: *id == own });
        }
        let at = |id: CollectionId| places.iter().find(|place| place.id == id);
        let line = |edge: &CollectionEdge| {
            let (from, to) = (at(edge.dependent)?, at(edge.source)?);
            Some(Line { from: (from.middle, from.y), to: (to.middle, to.y + BOX.1), relation: edge.relation })
        };
        let lines = edges.iter().filter_map(line).collect();
        let width = columns.values().max().copied().unwrap_or(1) * PLACE.0;
        let height = columns.len() * PLACE.1 - (PLACE.1 - BOX.1 - 24);
        Self { width, height, places, lines }
    }

    /// What it shows, for whoever does not see it; the list of dependences says the rest.
    pub(crate) fn sentence(&self) -> String {
        format!("{} collections and {} dependences between them", self.places.len(), self.lines.len())
    }
}

/// The beginning of a name that is too long for its box.
fn fitted(name: &str) -> String {
    if name.chars().count() <= FIT {
        return name.to_owned();
    }
    let mut text: String = name.chars().take(FIT - 1).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_depends_stands_below_what_it_depends_on() {
        let id = |number: usize| format!("P01{number:05X}").parse::<CollectionId>().unwrap();
        let name = |number: usize| format!("Number {number}").parse::<Name>().unwrap();
        let edge = |dependent, source| CollectionEdge {
            dependent: id(dependent),
            dependent_name: name(dependent),
            source: id(source),
            source_name: name(source),
            relation: CollectionRelation::Limiting,
        };
        let edges = [edge(3, 1), edge(3, 2), edge(2, 1), edge(4, 3)];
        let picture = Picture::new(id(3), &name(3), &edges);
        assert_eq!((picture.places.len(), picture.lines.len()), (4, 4));
        assert!(picture.lines.iter().all(|line| line.from.1 > line.to.1), "every line goes down: {picture:?}");
        assert!(
            picture.places.iter().all(|place| place.x + BOX.0 <= picture.width && place.y + BOX.1 <= picture.height)
        );
        let alone = Picture::new(id(1), &"x".repeat(100).parse().unwrap(), &[]);
        assert_eq!((alone.places.len(), alone.places[0].label.chars().count()), (1, FIT));
    }
}
