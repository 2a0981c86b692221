//! Whoever holds the management point, or writes where only the agent should, tries to have other bytes run, or to make the client
//! fetch for ever. (Test 13 of threats.md, ELEVATE-6.)

use crate::{
    actor::{CHUNK, Site, now},
    content::{enrolled, noise, said, succeeds, with_data},
};
use muster_agent::{
    content::{ContentError, take_out},
    os::PrivateDirectory,
};
use muster_model::{
    application::ContentFile,
    chunk::{CHUNK_ENTRY, CHUNK_LIST_HEAD},
    status::MessageId,
};
use muster_trust::sha256;
use std::{
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// How a site lies about a file.
type Lie = (&'static str, fn(&Site, &ContentFile));

fn change_list(site: &Site, file: &ContentFile, change: impl FnOnce(&mut Vec<u8>)) {
    change(site.state().lists.get_mut(&file.hash).unwrap());
}

fn put(list: &mut [u8], chunk: usize, field: usize, bytes: &[u8]) {
    let at = CHUNK_LIST_HEAD + chunk * CHUNK_ENTRY + field;
    list[at..at + bytes.len()].copy_from_slice(bytes);
}

const LIES: &[Lie] = &[
    ("list_malformed", |site, file| change_list(site, file, |list| *list = b"<html>no</html>".to_vec())),
    ("list_malformed", |site, file| change_list(site, file, |list| list.truncate(list.len() - 1))),
    // A chunk that is not there.
    ("list_malformed", |site, file| change_list(site, file, |list| list[15] += 1)),
    ("too_many_chunks", |site, file| change_list(site, file, |list| list[12] = 0xff)),
    // Sizes that would overlap, or overflow a sum.
    ("chunk_size", |site, file| change_list(site, file, |list| put(list, 3, 32, &u32::MAX.to_be_bytes()))),
    ("chunk_size", |site, file| change_list(site, file, |list| put(list, 3, 36, &u32::MAX.to_be_bytes()))),
    ("chunk_sum", |site, file| change_list(site, file, |list| put(list, 3, 34, &[0x50, 1]))),
    ("chunk_sum", |site, file| change_list(site, file, |list| list[4] = 1)),
    // A list of many bytes.
    ("too_many_chunks", |site, file| change_list(site, file, |list| list.resize(22 << 20, 0))),
    // Another chunk than the file has.
    ("chunk_altered", |site, file| change_list(site, file, |list| put(list, 3, 0, &[1; 32]))),
    // The right list, and other bytes.
    ("chunk_altered", |site, file| site.state().stored.get_mut(&file.hash).unwrap()[5 * CHUNK] ^= 1),
    // More than was asked for.
    ("chunk_altered", |site, _| site.state().mischief.endless_chunks = true),
    // A frame that unpacks to a thousand times what a chunk is.
    ("chunk_altered", |site, file| {
        let bomb = zstd::bulk::compress(&vec![0; 16 << 20], 19).unwrap();
        let length = u32::try_from(bomb.len()).unwrap();
        assert!(bomb.len() < CHUNK);
        change_list(site, file, |list| put(list, 0, 36, &length.to_be_bytes()));
        site.state().stored.get_mut(&file.hash).unwrap().splice(..CHUNK, bomb);
    }),
    // A list that agrees with the bytes that are served, and both are of another file.
    ("chunk_altered", |site, file| {
        let other = site.chunked("other", &noise(77, 20));
        let mut state = site.state();
        let (list, stored) = (state.lists[&other.hash].clone(), state.stored[&other.hash].clone());
        state.lists.insert(file.hash, list);
        state.stored.insert(file.hash, stored);
    }),
];

// Test 13 and ELEVATE-6 of the threats: a chunk list has no authority, and what comes by it is believed for its hash alone.
#[tokio::test]
async fn a_list_that_lies_costs_time_and_nothing_else() {
    let (site, machine) = enrolled().await;
    let running = machine.run();
    for (number, (reason, lie)) in LIES.iter().enumerate() {
        let data = noise(100 + number as u64, 20);
        let file = site.chunked("data.bin", &data);
        lie(&site, &file);
        let application = with_data(&site, &machine, &format!("installed-{number}"), file.clone());
        succeeds(&site, &application).await;
        site.state().mischief.endless_chunks = false;
        let refused = said(&site, MessageId::ChunkListRefused);
        let last = refused.last().unwrap_or_else(|| panic!("lie {number} was not refused"));
        assert_eq!((&last["hash"], last["reason"].as_str()), (&file.hash.to_string(), *reason), "lie {number}");
        assert_eq!(refused.len(), number + 1);
        let cached = machine.state().join("content").join(file.hash.to_string());
        assert!(std::fs::read(cached).unwrap() == data, "lie {number}");
    }
    running.stop().await;
}

// Test 13 and ELEVATE-6 of the threats: a list that names what other files have, and says wrong things of it, costs these nothing.
#[tokio::test]
async fn a_list_that_lies_about_what_is_here_costs_other_files_nothing() {
    let (site, machine) = enrolled().await;
    let running = machine.run();
    let old = noise(41, 20);
    let first = site.chunked("data.bin", &old);
    succeeds(&site, &with_data(&site, &machine, "one", first.clone())).await;
    let cached = machine.state().join("content").join(first.hash.to_string());
    // The hash of a chunk that is here, with another size; the next one is as much larger, so that the sum holds.
    let data = noise(42, 20);
    let file = site.chunked("data.bin", &data);
    change_list(&site, &file, |list| {
        let size = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
        put(list, 3, 0, &sha256(&old[..CHUNK]).0);
        for (chunk, bytes) in [(3, CHUNK - 100), (4, CHUNK + 100)] {
            put(list, chunk, 32, &size(bytes));
            put(list, chunk, 36, &size(bytes));
        }
    });
    succeeds(&site, &with_data(&site, &machine, "two", file.clone())).await;
    assert_eq!(said(&site, MessageId::ChunkListRefused).last().unwrap()["reason"], "chunk_altered");
    assert!(std::fs::read(&cached).unwrap() == old && cached.with_extension("chunks").exists());
    running.stop().await;
}

// Test 13 and ELEVATE-6 of the threats: what lies in the cache under the right name and is not the agent's is not written
// through, not read, and does not hold the deployment up.
#[tokio::test]
async fn what_is_planted_in_the_cache_leads_nowhere() {
    let (site, machine) = enrolled().await;
    let cache = machine.directory().directory("content").unwrap();
    let victim = machine.place("victim");
    let running = machine.run();
    for (number, end) in ["", ".part", ".chunks"].iter().enumerate() {
        for (kind, plant) in PLANTS.iter().enumerate() {
            std::fs::write(&victim, "not the agent's").unwrap();
            let data = noise(1_000 + (10 * number + kind) as u64, 20);
            let file = site.chunked("data.bin", &data);
            let path = cache.path().join(format!("{}{end}", file.hash));
            plant(&path, &victim);
            succeeds(&site, &with_data(&site, &machine, &format!("installed-{number}-{kind}"), file.clone())).await;
            assert_eq!(std::fs::read(&victim).unwrap(), b"not the agent's", "{end} {kind}");
            assert!(std::fs::read(cache.path().join(file.hash.to_string())).unwrap() == data, "{end} {kind}");
        }
    }
    running.stop().await;
}

type Plant = fn(&std::path::Path, &std::path::Path);
const PLANTS: &[Plant] = &[
    |path, victim| std::os::unix::fs::symlink(victim, path).unwrap(),
    |path, victim| std::fs::hard_link(victim, path).unwrap(),
    // A `.part` that somebody else can go on writing to.
    |path, _| {
        std::fs::write(path, noise(5, 3)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    },
    |path, _| std::fs::create_dir(path).unwrap(),
];

#[tokio::test]
async fn an_older_file_that_was_swapped_gives_nothing_to_the_new_one() {
    let (site, machine) = enrolled().await;
    let running = machine.run();
    let old = noise(21, 30);
    let first = site.chunked("data.bin", &old);
    succeeds(&site, &with_data(&site, &machine, "one", first.clone())).await;
    // The right length, in the right place, with the right owner and the right list: only the bytes are others, here and there.
    let path = machine.state().join("content").join(first.hash.to_string());
    let mut swapped = old.clone();
    (0..30).step_by(3).for_each(|chunk| swapped[chunk * CHUNK + 9] ^= 1);
    std::fs::write(&path, swapped).unwrap();
    let mut new = old.clone();
    new[29 * CHUNK + 1] ^= 1;
    let second = site.chunked("data.bin", &new);
    succeeds(&site, &with_data(&site, &machine, "two", second.clone())).await;
    assert!(std::fs::read(machine.state().join("content").join(second.hash.to_string())).unwrap() == new);
    // Whether the list or the file is wrong is not known: the list goes, and the file is asked for its hash before it is used.
    assert!(path.exists() && !path.with_extension("chunks").exists());
    assert!(said(&site, MessageId::ChunkListRefused).is_empty(), "the list is right");
    running.stop().await;
}

// Test 13 and ELEVATE-6 of the threats: what is checked is what is used, however fast the file in the cache becomes another one.
#[tokio::test]
async fn a_file_that_is_swapped_while_it_is_taken_out_is_never_used() {
    let temp = tempfile::tempdir().unwrap();
    let open = |name: &str| PrivateDirectory::open(&temp.path().join(name)).unwrap();
    let (cache, out) = (open("cache"), open("out"));
    let (good, mut evil) = (noise(31, 8), noise(31, 8));
    evil[100_000] ^= 1;
    let file = ContentFile { name: "tool".parse().unwrap(), hash: sha256(&good), size: good.len() as u64 };
    let path = cache.path().join(file.hash.to_string());
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, path, good, beside) = (stop.clone(), path.clone(), good.clone(), temp.path().join("beside"));
        move || {
            while !stop.load(Ordering::Relaxed) {
                // In place, and by another file under the same name.
                std::fs::write(&path, &good).unwrap();
                std::fs::write(&path, &evil).unwrap();
                std::fs::write(&beside, &good).unwrap();
                std::fs::rename(&beside, &path).unwrap();
            }
        }
    });
    for _ in 0..400 {
        match take_out(&cache, &file, &out, now()).await {
            Ok(()) => assert!(std::fs::read(out.path().join("tool")).unwrap() == good),
            Err(ContentError::Altered(_) | ContentError::Gone(_)) => assert!(!out.path().join("tool").exists()),
            Err(other) => panic!("{other}"),
        }
        out.remove("tool").unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    std::fs::write(&path, &good).unwrap();
    take_out(&cache, &file, &out, now()).await.unwrap();
}
