//! Every byte, row and nesting that comes from outside has its limit here, with the reason for the number.

/// What a site takes from outside. One value for the whole process; an administrator may lower or raise each.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a request to enrol or to poll an enrolment: room for every proof in it at once. A CSR with a P-256 key has about 500.
    pub enrol_bytes: usize,
    /// Bytes of each part of an attestation. An endorsement certificate has up to 2,000.
    pub attestation_bytes: usize,
    /// Bytes of a Kerberos proof. A ticket of a computer in a hundred groups has about 3,000.
    pub domain_bytes: usize,
    /// Bytes of one report envelope as sent (compressed). A full inventory of 1,500 packages has 30 KB.
    pub report_bytes: usize,
    /// Bytes of one report envelope after decompression; the decoder stops here.
    pub report_decoded_bytes: usize,
    /// Messages in one report envelope.
    pub report_messages: usize,
    /// Rows in one inventory section.
    pub section_rows: usize,
    /// Bytes of one text value in an inventory row.
    pub value_bytes: usize,
    /// Elements of one list value in an inventory row.
    pub list_values: usize,
    /// Bytes of captured installer output in one message.
    pub output_bytes: usize,
    /// Bytes of a request to the administrators' API.
    pub api_bytes: usize,
    /// Bytes of one content file.
    pub content_bytes: u64,
    /// Bytes of one signed object (application, trust bundle, assignment) or policy body.
    pub object_bytes: usize,
    /// Quarantined items kept per device; the oldest goes first.
    pub quarantine_items: usize,
    /// Requests that one device may make in a minute, and at once. One that works has some ten an hour; one that is new, two for each
    /// of its deployments.
    pub device_requests: u32,
    /// Connections that one device may have at the same time; the oldest ends for one more. One that works has up to three.
    pub device_connections: usize,
    /// Messages that one device may send in an hour, and at once: it may have been away for months.
    pub device_messages: u32,
    /// Bytes of reports after decompression that one device may send in an hour, and at once. A full inventory has 0.4 to 10 MB.
    pub device_report_bytes: u64,
    /// Days for which changes of inventory are kept. With 0 none are.
    pub history_days: u32,
    /// Rows in the changes of one device that are kept; the oldest change goes first. A computer that is kept current has some thousand
    /// in 90 days.
    pub history_rows: u64,
    /// Rows of one page of a list.
    pub page_rows: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enrol_bytes: 48 << 10,
            attestation_bytes: 4 << 10,
            domain_bytes: 8 << 10,
            report_bytes: 4 << 20,
            report_decoded_bytes: 32 << 20,
            report_messages: 1_000,
            section_rows: 20_000,
            value_bytes: 4 << 10,
            list_values: 256,
            output_bytes: 16 << 10,
            api_bytes: 1 << 20,
            content_bytes: 8 << 30,
            object_bytes: 256 << 10,
            quarantine_items: 20,
            device_requests: 3_000,
            device_connections: 16,
            device_messages: 20_000,
            device_report_bytes: 128 << 20,
            history_days: 90,
            history_rows: 200_000,
            page_rows: 500,
        }
    }
}

/// Bytes of a chunk of a content file, but for the last one: fewer would make lists long.
pub const CHUNK_LEAST_BYTES: u32 = 16 << 10;
/// Bytes of a chunk as they are aimed at: the smallest change in a file costs about two of these.
pub const CHUNK_AVERAGE_BYTES: u32 = 64 << 10;
/// Bytes of a chunk at most: what a client holds in memory twice, as it came and as it is.
pub const CHUNK_BYTES: u32 = 256 << 10;
/// Chunks of a content file: as many as the largest one can have.
pub const CHUNKS: usize = 524_288;
/// Bytes of a chunk list. One of a file of 200 MB has about 110,000.
pub const CHUNK_LIST_BYTES: usize = 20_971_536;
/// Bytes of a content file from which on it gets a chunk list; below, the whole file costs less than asking.
pub const CHUNKED_BYTES: u64 = 256 << 10;
/// Ranges that a client may ask for in one request.
pub const CHUNK_RANGES: usize = 1_024;
/// Bytes of such a request: two numbers of up to ten digits each.
pub const CHUNK_RANGES_BYTES: usize = 32 << 10;
/// Peers in one grant. Who has none that gives asks the site.
pub const PEERS: usize = 16;
/// Bytes of a signed grant. One with as many peers as it may have has about 4,000.
pub const PEER_GRANT_BYTES: usize = 8 << 10;
/// Files that a client says it serves.
pub const PEER_CONTENT: usize = 256;
/// Bytes of what it says: so many hashes.
pub const PEER_ANNOUNCEMENT_BYTES: usize = 24 << 10;
/// Bytes that a client asks a peer for at once: some chunks, and little enough to notice soon that it is slow.
pub const PEER_RANGE_BYTES: u32 = 1 << 20;
/// Requests on one connection between clients: a file of 8 GiB with holes.
pub const PEER_REQUESTS: u32 = 65_536;
/// Connections that a client serves to one address at once, of all that the settings allow.
pub const PEER_ADDRESS_CONNECTIONS: usize = 2;
/// Handshakes of peers that a client is at at once, beside the connections that it serves: a stranger may begin one.
pub const PEER_HANDSHAKES: usize = 4;
/// Of these, with one address.
pub const PEER_ADDRESS_HANDSHAKES: usize = 2;
/// Handshakes that one source may begin at once; after that, two a second. One is an IPv4 address, or 64 bits of an IPv6 address.
pub const PEER_SOURCE_ACCEPTS: u32 = 32;
/// Handshakes that all sources may begin at once; after that, eight a second.
pub const PEER_ACCEPTS: u32 = 64;
/// Sources of which a client that serves remembers how often they came.
pub const PEER_SOURCES: usize = 256;
/// Peers that a client remembers not to ask for a while.
pub const PEERS_SHUNNED: usize = 256;

/// Bytes of the trust bundles that a client keeps: the first, each that changed the roots, and the newest. One has about 4,000, so
/// this is more changes of the root than there will be; a chain that is longer is not taken, because it could not be read again.
pub const TRUST_CHAIN_BYTES: usize = 8 << 20;
/// Entries of one answer of a directory or a name server that a client looks at. A site has few management points.
pub const LOCATION_ANSWERS: usize = 32;
/// Management points that a configuration, a policy or a boundary group may name.
pub const LOCATION_POINTS: usize = 16;
/// Addresses of one source that a client looks at, and refused ones that it reports: whoever can write into one does not crowd out
/// the others.
pub const LOCATION_SHARE: usize = 8;
/// Bytes that a directory server may send for one search. An entry has about 500.
pub const DIRECTORY_BYTES: usize = 256 << 10;
/// Addresses of its own that a client reports, for boundaries.
pub const NETWORK_ADDRESSES: usize = 32;
/// Boundaries of a site, and boundary groups. Each device is held against all of them.
pub const BOUNDARIES: u64 = 5_000;
/// See [`BOUNDARIES`].
pub const BOUNDARY_GROUPS: u64 = 500;
/// Refused management points that a client reports in a day: whoever can write into a directory or answer for a name server
/// could name another one each time.
pub const LOCATION_REPORTS: usize = 48;

/// Bytes of a request for a certificate by SCEP or EST. A message with a chain in it has some 6,000.
pub const CERTIFICATE_REQUEST_BYTES: usize = 64 << 10;
/// Certificates that one mobile device may be given in a day. One that works asks twice in its certificate's life; beyond, it is blocked.
pub const MOBILE_CERTIFICATES_A_DAY: u32 = 4;
/// Mobile devices of one user that are not blocked.
pub const MOBILE_DEVICES_OF_A_USER: u32 = 20;

/// Bytes of an OCSP request, and of the address of one that comes by GET. One about a certificate has about 120.
pub const OCSP_REQUEST_BYTES: usize = 4 << 10;
/// Certificates that one OCSP request may ask about.
pub const OCSP_CERTIFICATES: usize = 8;
/// Bytes of an OCSP answer that a client reads. One of this site has about 250.
pub const OCSP_RESPONSE_BYTES: usize = 8 << 10;
/// Bytes of a certificate of the enterprise, and of a CA's. One with many names has about 2,000.
pub const CERTIFICATE_BYTES: usize = 6 << 10;
/// Issuers of the enterprise that a site knows.
pub const ISSUERS: usize = 16;
/// Bytes of a foreign revocation list. One with 100,000 entries has about 4 MB.
pub const FOREIGN_LIST_BYTES: usize = 8 << 20;
/// Entries of a foreign revocation list, which are kept in memory.
pub const FOREIGN_LIST_ENTRIES: usize = 200_000;
/// Criteria of one kind.
pub const CRITERIA: usize = 16;
/// Bytes of one criterion.
pub const CRITERION_BYTES: usize = 256;
/// Bytes of the address of a foreign revocation list.
pub const LIST_URL_BYTES: usize = 512;
/// Bytes of a Kerberos message that a client reads from a domain controller: a ticket with many groups, twice.
pub const KERBEROS_BYTES: usize = 64 << 10;
/// Bytes of a keytab. One of a computer has about 1,000.
pub const KEYTAB_BYTES: u64 = 64 << 10;
/// Trusted domains of a site, and groups of each.
pub const TRUSTED_DOMAINS: usize = 32;
/// Serial numbers of one import.
pub const SERIAL_ENTRIES: usize = 5_000;

/// Bytes of a WQL query. The longest that is known to be in use names some hundred computers, and has 20,000.
pub const WQL_BYTES: usize = 256 << 10;
/// How deep the parentheses, functions and sub-selects of a query are nested.
pub const WQL_DEPTH: usize = 48;
/// Conditions of a query, each list counted as one. A statement has at most 32,766 parameters.
pub const WQL_CONDITIONS: usize = 2_000;
/// Classes of a query with all of its sub-selects, and columns that it selects.
pub const WQL_CLASSES: usize = 32;
/// Classes that are joined in one select: each is up to four tables, and SQLite joins at most 64.
pub const WQL_JOINED: usize = 12;
/// See [`WQL_CLASSES`].
pub const WQL_COLUMNS: usize = 500;

/// Queries that a site keeps. A large site of Configuration Manager has some hundred.
pub const SAVED_QUERIES: u64 = 2_000;
/// Characters of a comment on a query.
pub const QUERY_COMMENT: usize = 500;
/// Characters of a query in an entry of the audit log.
pub const AUDIT_QUERY: usize = 4_000;

/// Collections of a site. Configuration Manager has no hard limit; large sites have a few thousand. All of them are in memory.
pub const COLLECTIONS: u64 = 20_000;
/// Rules of one collection: an administrator's list of machines is the longest.
pub const COLLECTION_RULES: usize = 10_000;
/// Maintenance windows of one collection. Most have one or two.
pub const COLLECTION_WINDOWS: usize = 50;
/// Maintenance windows of each kind in the policy of one device, from all collections that it is in. A policy body has at most 256 KiB.
pub const DEVICE_WINDOWS: usize = 200;
/// Custom client settings of a site: each is looked at for every device in its collections.
pub const SETTINGS_OBJECTS: usize = 200;
/// Collections that custom client settings are for.
pub const SETTINGS_COLLECTIONS: usize = 200;
/// Bytes of the comment of client settings.
pub const SETTINGS_COMMENT_BYTES: usize = 500;
/// Bytes of the query of a rule. The longest of 661 public ones has 9,300.
pub const COLLECTION_QUERY_BYTES: usize = 32 << 10;
/// Schedule tokens of one collection, as in Configuration Manager.
pub const COLLECTION_SCHEDULES: usize = 15;
/// Changed devices of which one round of evaluation knows.
pub const COLLECTION_CHANGES: u32 = 20_000;
/// Bytes of the index that answers rules of collections: rules about what would not fit in are asked of the database. 100,000 devices
/// with 1,500 packages each take about a tenth.
pub const INDEX_BYTES: usize = 4 << 30;
/// Bytes of a text with collections. An export of a thousand collections has about two million.
pub const COLLECTION_IMPORT_BYTES: usize = 16 << 20;
/// Collections in one such text.
pub const COLLECTION_IMPORTS: usize = 5_000;
/// Rows of a preview, as in Configuration Manager.
pub const COLLECTION_PREVIEW: usize = 5_000;
/// Collections that the picture of one shows.
pub const COLLECTION_PICTURE: usize = 60;

/// Rows that a comparison of two moments shows of one class, and of all together; the others are counted.
pub const COMPARE_CLASS_ROWS: usize = 500;
/// See [`COMPARE_CLASS_ROWS`].
pub const COMPARE_ROWS: usize = 2_000;
/// Days of history that can be asked for at most.
pub const HISTORY_DAYS: u32 = 3_650;

/// Bytes of a foreign collector's inventory as sent. One of 1,500 packages has 30 KB compressed, and 500 KB where it is not.
pub const FOREIGN_BYTES: usize = 2 << 20;
/// Bytes of it after decompression; the decoder stops here.
pub const FOREIGN_DECODED_BYTES: usize = 8 << 20;
/// Bytes of one of its texts; what is longer is cut.
pub const FOREIGN_VALUE_BYTES: usize = 1_024;
/// Bytes that a collector may print. 20,000 short rows have 1 MB.
pub const COLLECTOR_BYTES: usize = 2 << 20;
/// Own rules of software titles. Each row of software is held against all of them once.
pub const TITLE_RULES: usize = 500;
/// Spellings of one such rule.
pub const TITLE_SPELLINGS: usize = 20;
/// Bytes of a name in such a rule.
pub const TITLE_TEXT_BYTES: usize = 256;
/// Bytes of a file with such rules.
pub const TITLE_RULES_BYTES: u64 = 1 << 20;
/// Versions of a title that are shown: those of most devices.
pub const TITLE_VERSIONS: u32 = 500;

/// Items of a configuration baseline, and settings of all of them together. The longest public benchmarks have about 300.
pub const BASELINE_ITEMS: usize = 100;
/// See [`BASELINE_ITEMS`].
pub const BASELINE_SETTINGS: usize = 500;
/// Rules of one setting, and values of one of them.
pub const SETTING_RULES: usize = 16;
/// See [`SETTING_RULES`].
pub const RULE_VALUES: usize = 64;
/// Bytes of one path, pattern, key, value or description of a baseline.
pub const BASELINE_TEXT_BYTES: usize = 1_024;
/// Bytes of one script of a baseline.
pub const SCRIPT_BYTES: usize = 64 << 10;
/// Parameters of one script.
pub const SCRIPT_PARAMETERS: usize = 32;
/// Bytes that a remediation writes into a file.
pub const BASELINE_FILE_BYTES: usize = 64 << 10;
/// Bytes of a file in which a value is looked for, and bytes of one that is hashed.
pub const BASELINE_READ_BYTES: u64 = 1 << 20;
/// See [`BASELINE_READ_BYTES`].
pub const BASELINE_HASH_BYTES: u64 = 1 << 30;
/// Bytes that a discovery may print, and values that it may find.
pub const DISCOVERED_BYTES: usize = 16 << 10;
/// See [`DISCOVERED_BYTES`].
pub const DISCOVERED_VALUES: usize = 256;
/// Bytes of one value as it is reported; what is longer is cut.
pub const COMPLIANCE_VALUE_BYTES: usize = 512;
/// Bytes of a sentence about a setting.
pub const COMPLIANCE_DETAIL_BYTES: usize = 256;
/// Configuration baselines of a site, and deployments of them in the policy of one device.
pub const BASELINES: u64 = 2_000;
/// See [`BASELINES`].
pub const DEVICE_BASELINES: usize = 100;
/// How often users may put a deployment off at most, for how many minutes at a time, and how many minutes after the deadline.
pub const DEFERRAL_TIMES: u32 = 100;
/// See [`DEFERRAL_TIMES`].
pub const DEFERRAL_MINUTES: u32 = 7 * 24 * 60;
/// See [`DEFERRAL_TIMES`].
pub const DEFERRAL_GRACE_MINUTES: u32 = 90 * 24 * 60;
/// Packages that one group of updates names, and patterns in it.
pub const UPDATE_PACKAGES: usize = 1_000;
/// See [`UPDATE_PACKAGES`].
pub const UPDATE_PATTERNS: usize = 200;
/// Status filter rules of a site: a message is held against each that can be about its kind.
pub const STATUS_RULES: u64 = 500;
/// Targets that a status filter rule names.
pub const STATUS_RULE_TARGETS: usize = 8;
/// Bytes of the text that a status filter rule looks for.
pub const STATUS_RULE_TEXT: usize = 200;
/// How often in an hour a status filter rule acts at most, whatever it says itself.
pub const STATUS_RULE_RATE: u32 = 1_000;
/// How many days a status filter rule keeps a message at most.
pub const STATUS_KEEP_DAYS: u32 = 3_650;
/// Messages that wait to be sent to targets. What comes beyond is counted and dropped: a target that is away must not fill the database.
pub const STATUS_ACTIONS: u64 = 10_000;
/// Tries before what waits for a target is given up; with the pauses between them, somewhat more than a day.
pub const STATUS_ACTION_TRIES: u32 = 12;
/// Subscriptions to alerts, of a site.
pub const SUBSCRIPTIONS: u64 = 200;
/// Targets that the server's machine may name.
pub const TARGETS: usize = 100;
/// Bytes that a target may answer; what a program prints beyond is not read.
pub const TARGET_ANSWER_BYTES: usize = 16 << 10;
/// Rules that propose groups of updates, of a site.
pub const UPDATE_RULES: u64 = 100;
/// Packages that the system's tool may name in one answer.
pub const UPDATE_LINES: usize = 10_000;
/// Updates that are counted over all devices, those that most devices miss first; and those kept that no device misses any more.
pub const UPDATES_COUNTED: u64 = 100_000;
/// See [`UPDATES_COUNTED`].
pub const UPDATES_GONE: u64 = 20_000;
/// Bytes that the system's tool may print when it is asked for updates.
pub const UPDATE_BYTES: usize = 8 << 20;

/// Classes that administrators of a site may define. Each is a table.
pub const CLASSES: u64 = 500;
/// Attributes of such a class. Each is a column, and PostgreSQL keeps a row in one page of 8 KB.
pub const CLASS_ATTRIBUTES: usize = 200;
/// Bytes of the name of a class and of an attribute: with what stands before and after it, PostgreSQL keeps 63.
pub const CLASS_NAME_BYTES: usize = 40;
/// Bytes of a text with definitions of classes. A long configuration.mof has about 100,000.
pub const DEFINITION_BYTES: usize = 256 << 10;
/// Classes in one such text.
pub const DEFINITIONS: usize = 100;
/// Classes that a site does not know and of which a section of one device waits; what comes beyond is only counted.
pub const WAITING_CLASSES: usize = 8;
/// Bytes of rows of one section that waits.
pub const WAITING_BYTES: usize = 64 << 10;
/// Sections that wait, of all devices together: 640 MB at the very most.
pub const WAITING_SECTIONS: u64 = 10_000;
/// Days that a section waits for its class. A client says it again with its next inventory.
pub const WAITING_DAYS: i64 = 30;

/// Attributes of one discovery record. The longest that a directory gives has about 30.
pub const DISCOVERY_ATTRIBUTES: usize = 64;
/// Bytes of one value of a discovery record: a distinguished name has up to 1,000.
pub const DISCOVERY_VALUE_BYTES: usize = 1 << 10;
/// Values of one attribute of a discovery record.
pub const DISCOVERY_VALUES: usize = 256;
/// Bytes of a whole discovery record.
pub const DISCOVERY_RECORD_BYTES: usize = 32 << 10;
/// Resources without a client that a site holds; whoever fills a directory or a network does not fill the site's disk.
pub const DISCOVERED_RESOURCES: u64 = 1_000_000;
/// Of these, what was found on the network: addresses are made up more cheaply than objects of a directory.
pub const NETWORK_RESOURCES: u64 = 200_000;

/// Directories in which a site looks, and containers of each.
pub const DIRECTORIES: usize = 32;
/// See [`DIRECTORIES`].
pub const DIRECTORY_CONTAINERS: usize = 64;
/// Groups of one object of a directory. Windows gives a token at most 1,015.
pub const DIRECTORY_GROUPS: usize = 1_024;
/// Bytes of one message of a directory server while discovery reads. An object with every attribute has about 4,000.
pub const DIRECTORY_MESSAGE_BYTES: usize = 1 << 20;
/// Bytes of one page of 500 objects.
pub const DIRECTORY_PAGE_BYTES: usize = 16 << 20;
/// Bytes of one run: a million objects of 2,000 bytes.
pub const DIRECTORY_RUN_BYTES: u64 = 2 << 30;
/// Objects of one run; groups are read twice.
pub const DIRECTORY_RUN_OBJECTS: u64 = 1_000_000;
/// Pages of one run. Each group that changed takes one for each container.
pub const DIRECTORY_RUN_PAGES: u64 = 200_000;
/// Groups that changed since the last run; beyond, everything is read.
pub const DIRECTORY_CHANGED_GROUPS: usize = 2_000;

/// Requirements of an application.
pub const REQUIREMENTS: usize = 16;
/// Bytes of a requirement's query. One over a few attributes has some 200.
pub const REQUIREMENT_BYTES: usize = 8 << 10;
/// Rows that a requirement may put together on a device: each is copied. 20,000 packages and nothing beside them are half of it.
pub const REQUIREMENT_PAIRS: usize = 40_000;
/// Deployment types of an application, its own included.
pub const DEPLOYMENT_TYPES: usize = 16;
/// Devices of which a preview says which deployment type they would take.
pub const TYPE_PREVIEW_DEVICES: u32 = 50;
/// Rows of a class of one device that are looked at for it: as many as a requirement puts together.
pub const INVENTORY_ROWS_LOOKED_AT: u32 = 40_000;
/// Parameters of an application.
pub const PARAMETERS: usize = 32;
/// Bytes of a parameter's value.
pub const PARAMETER_BYTES: usize = 4 << 10;
/// Bytes of all values of a deployment: less than a system lets a program be given by far.
pub const PARAMETERS_BYTES: usize = 64 << 10;
/// Values among which a parameter lets choose.
pub const PARAMETER_VALUES: usize = 64;
/// Schedules of a program.
pub const PROGRAM_SCHEDULES: usize = 8;
/// Runs of programs that a client keeps; the oldest go, and such a program counts as one that never ran.
pub const PROGRAM_RUNS: usize = 10_000;
/// Exit codes to which an application gives a meaning.
pub const RETURN_CODES: usize = 64;
/// How often an application may be tried again, and seconds in between.
pub const RETRIES: u32 = 20;
/// See [`RETRIES`].
pub const RETRY_SECONDS: u32 = 86_400;
/// Groups of dependencies of an application.
pub const DEPENDENCY_GROUPS: usize = 16;
/// Applications of one group.
pub const DEPENDENCY_CHOICES: usize = 8;
/// How deep dependencies of dependencies go.
pub const DEPENDENCY_DEPTH: usize = 8;
/// Other applications that a deployment takes along: dependencies and what is superseded.
pub const RELATED_APPLICATIONS: usize = 64;
/// Applications that one supersedes.
pub const SUPERSEDED: usize = 32;
/// Bytes of a request of a local user to the agent; the longest has 120.
pub const LOCAL_REQUEST_BYTES: usize = 1 << 10;
/// Bytes of the agent's answer.
pub const LOCAL_ANSWER_BYTES: usize = 1 << 20;
/// Connections of local users at once, and of one of them; and for how many seconds one may stay silent.
pub const LOCAL_CONNECTIONS: usize = 16;
/// See [`LOCAL_CONNECTIONS`].
pub const LOCAL_CONNECTIONS_OF_USER: usize = 4;
/// Requests of one local user in a minute.
pub const LOCAL_REQUESTS: u32 = 60;
/// See [`LOCAL_CONNECTIONS`].
pub const LOCAL_SECONDS: u64 = 5;
/// How long after a local user had a command of a deployment begun it is not begun again for one, in milliseconds.
pub const LOCAL_COOL_DOWN: i64 = 10 * 60_000;

/// Ranges of network discovery.
pub const NETWORK_RANGES: usize = 256;
/// Phases of a deployment.
pub const DEPLOYMENT_PHASES: usize = 20;
/// How often an administrator may have a deployment tried again on a device.
pub const DEPLOYMENT_ATTEMPTS: u32 = 1_000;
/// Steps of one deployment on one device that are kept; the oldest go.
pub const DEPLOYMENT_EVENTS: u32 = 100;
/// Devices of an alert that are kept by name.
pub const ALERT_DEVICES: usize = 1_000;
/// Checks in a client's report of its own health, bytes of the name of one, and of each of its sentences.
pub const HEALTH_CHECKS: usize = 32;
/// See [`HEALTH_CHECKS`].
pub const HEALTH_NAME_BYTES: usize = 32;
/// See [`HEALTH_CHECKS`].
pub const HEALTH_TEXT_BYTES: usize = 400;
/// Collections with a threshold of client status. Each is counted every few minutes.
pub const CLIENT_STATUS_THRESHOLDS: u64 = 100;
/// Bytes of a table of neighbours or leases that is read.
pub const LEASES_BYTES: u64 = 16 << 20;
/// Neighbours of one look.
pub const NETWORK_NEIGHBOURS: usize = 50_000;

/// Bytes of one record of a client's log. A usual one has 350.
pub const LOG_RECORD_BYTES: usize = 8 << 10;
/// Bytes of the sentence of such a record, and of one of its values; what is longer is cut.
pub const LOG_TEXT_BYTES: usize = 1 << 10;
/// Values of such a record.
pub const LOG_FIELDS: usize = 16;
/// Bytes of a file of a client's log, and how many files are kept: some 12,000 records, of a quiet client a year.
pub const LOG_SEGMENT_BYTES: u64 = 1 << 20;
/// See [`LOG_SEGMENT_BYTES`].
pub const LOG_SEGMENTS: usize = 4;
/// Records and bytes of a piece of a client's log that the site asks for: less than a report may have, however little it can be compressed.
pub const LOG_PIECE_RECORDS: u32 = 20_000;
/// See [`LOG_PIECE_RECORDS`].
pub const LOG_PIECE_BYTES: usize = 3 << 20;
/// Heads of the log of one device that the site keeps; the oldest goes.
pub const LOG_ANCHORS: usize = 100;
/// Pieces of logs that are kept of one device, and bytes of all devices together as they are kept.
pub const LOG_PIECES: u64 = 5;
/// See [`LOG_PIECES`].
pub const LOG_PIECES_BYTES: u64 = 2 << 30;
/// Days that a piece is kept.
pub const LOG_PIECE_DAYS: i64 = 30;
/// Entries of the audit log in one file of an export, and bytes of them. One alone may have more.
pub const AUDIT_SEGMENT_ENTRIES: u32 = 1_000;
/// See [`AUDIT_SEGMENT_ENTRIES`].
pub const AUDIT_SEGMENT_BYTES: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_fits_into_the_largest_list() {
        let most = Limits::default().content_bytes / u64::from(CHUNK_LEAST_BYTES);
        assert!(most <= CHUNKS as u64);
        assert_eq!(CHUNK_LIST_BYTES, crate::chunk::CHUNK_LIST_HEAD + CHUNKS * crate::chunk::CHUNK_ENTRY);
        // As many ranges as there may be, of the largest file.
        let ranges = crate::chunk::ChunkRanges { ranges: vec![(8 << 30, 8 << 30); CHUNK_RANGES] };
        assert!(serde_json::to_vec(&ranges).unwrap().len() <= CHUNK_RANGES_BYTES);
    }

    #[test]
    fn a_request_with_every_proof_of_the_largest_size_fits() {
        let (limits, base64) = (Limits::default(), |bytes: usize| bytes.div_ceil(3) * 4);
        let proofs = 4 * base64(limits.attestation_bytes) + base64(limits.domain_bytes) + base64(CERTIFICATE_BYTES);
        // The signature by an RSA key of 4096 bits, the signing request, three texts, and the names of the fields.
        let rest = base64(512) + base64(1_024) + 3 * 2 * 255 + 1_024;
        assert!(proofs + rest <= limits.enrol_bytes, "{}", proofs + rest);
    }
}
