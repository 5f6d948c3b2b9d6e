//! Names of classes that mean the same: a model's labels and the categories of annotations.

use std::collections::HashMap;

/// The names that Pascal VOC and COCO have for one thing.
const SYNONYMS: [(&str, &str); 6] = [
    ("aeroplane", "airplane"),
    ("motorbike", "motorcycle"),
    ("sofa", "couch"),
    ("tvmonitor", "tv"),
    ("diningtable", "dining table"),
    ("pottedplant", "potted plant"),
];

/// The form of a name that equal things share: lower case, no blanks around it or doubled in it, and
/// COCO's word where Pascal VOC has another.
pub fn canonical(name: &str) -> String {
    let words: Vec<String> = name.split_whitespace().map(str::to_lowercase).collect();
    let name = words.join(" ");
    SYNONYMS.iter().find(|(voc, _)| *voc == name).map_or(name, |(_, coco)| (*coco).to_owned())
}

/// Which category each class of a model is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassMap {
    categories: Vec<Option<usize>>,
    /// Categories that no class of the model is, by place.
    pub unknown_to_model: Vec<usize>,
}

impl ClassMap {
    /// Joins a model's labels with categories by their names.
    pub fn new<'a>(labels: &[String], categories: impl Iterator<Item = &'a str>) -> Self {
        let places: HashMap<String, usize> =
            categories.enumerate().map(|(place, name)| (canonical(name), place)).collect();
        let found: Vec<Option<usize>> =
            labels.iter().map(|label| places.get(&canonical(label)).copied()).collect();
        let mut unknown: Vec<usize> =
            places.into_values().filter(|place| !found.contains(&Some(*place))).collect();
        unknown.sort_unstable();
        Self { categories: found, unknown_to_model: unknown }
    }

    /// The place of the category that a class is.
    pub fn category(&self, class: u32) -> Option<usize> {
        self.categories.get(class as usize).copied().flatten()
    }

    /// How many classes of the model are a category.
    pub fn known(&self) -> usize {
        self.categories.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voc_and_coco_names_are_one() {
        for (one, other) in [
            ("aeroplane", "Airplane"),
            ("TVmonitor", "tv"),
            (" dining  table\t", "diningtable"),
            ("potted plant", "pottedplant"),
            ("person", "PERSON"),
        ] {
            assert_eq!(canonical(one), canonical(other));
        }
        assert_ne!(canonical("car"), canonical("cart"));
    }

    #[test]
    fn classes_find_their_categories() {
        let labels: Vec<String> = ["person", "sofa", "class 2", "Couch"].map(str::to_owned).into();
        let map = ClassMap::new(&labels, ["couch", "zebra", "person"].into_iter());
        assert_eq!([0, 1, 2, 3, 9].map(|c| map.category(c)), [Some(2), Some(0), None, Some(0), None]);
        assert_eq!((map.known(), map.unknown_to_model), (3, vec![1]));
    }
}
