"""Calls about topics, records, groups and transactions."""

TOPICS = """
topics --list
topics --list --exclude-internal
topics --list --topic or.*
topics --list --topic nosuch
topics --describe
topics --describe --exclude-internal
topics --describe --topic orders
topics --describe --topic or.*|spare
topics --describe --topic orders --partition-size-limit-per-response 1
topics --describe --topic-id ID-OF-ORDERS
topics --describe --topic-id AAAAAAAAAAAAAAAAAAAAAQ
topics --describe --topic-id no-id
topics --describe --topics-with-overrides
topics --describe --under-replicated-partitions
topics --describe --unavailable-partitions
topics --describe --under-min-isr-partitions
topics --describe --at-min-isr-partitions
topics --describe --at-min-isr-partitions --topic orders
topics --describe --under-min-isr-partitions --at-min-isr-partitions
topics --describe --topic nosuch
topics --describe --topic nosuch --if-exists
topics --create --topic made --partitions 2 --replication-factor 1 --config retention.ms=60000 --config cleanup.policy=compact
topics --create --topic made-by-default
topics --create --topic assigned --replica-assignment 0,0
topics --create --topic assigned-2 --replica-assignment 0:1
topics --create --topic assigned-3 --replica-assignment 7
topics --create --topic assigned-4 --replica-assignment 0,0 --partitions 2
topics --create --topic made
topics --create --topic made --if-not-exists
topics --create --topic made.by-default
topics --create --topic made_by-default
topics --create --topic wrong --config nosuch=1
topics --create --topic wrong --config retention.ms=soon
topics --create --topic wrong --config retention.ms
topics --create --topic wrong --partitions 0
topics --create --topic wrong --partitions many
topics --create --topic wrong --replication-factor 0
topics --create --topic wrong --replication-factor 2
topics --create --topic wrong/name
topics --create --topic ..
topics --create
topics --describe --topic made.*
topics --alter --topic made --partitions 4
topics --alter --topic made --partitions 2
topics --alter --topic made --partitions 4
topics --alter --topic made
topics --alter --topic nosuch --partitions 3
topics --alter --topic nosuch --partitions 3 --if-exists
topics --alter --topic spare --partitions 3 --replica-assignment 0,0,0
topics --alter --topic spare --partitions 4 --replica-assignment 0,0,0,7
topics --alter --topic made --partitions 5 --config retention.ms=1
topics --delete --topic made-by-default
topics --delete --topic nosuch
topics --delete --topic nosuch --if-exists
topics --delete
topics --list --create
topics --list --exclude-internal
"""

GET_OFFSETS = """
get-offsets
get-offsets --exclude-internal-topics
get-offsets --topic orders
get-offsets --topic or.*|recent
get-offsets --topic orders --partitions 0,2
get-offsets --topic orders --partitions 9
get-offsets --topic orders --partitions x
get-offsets --topic-partitions orders:0,recent
get-offsets --topic-partitions orders:1-
get-offsets --topic-partitions orders:-2
get-offsets --topic-partitions orders:0-2
get-offsets --topic-partitions :1
get-offsets --topic-partitions or.*:0
get-offsets --topic-partitions orders:x
get-offsets --topic-partitions orders:0 --topic orders
get-offsets --topic nosuch
get-offsets --topic orders --time -1
get-offsets --topic orders --time latest
get-offsets --topic orders --time -2
get-offsets --topic orders --time earliest
get-offsets --topic orders --time -3
get-offsets --topic orders --time max-timestamp
get-offsets --topic orders --time -4
get-offsets --topic orders --time earliest-local
get-offsets --topic orders --time -5
get-offsets --topic orders --time latest-tiered
get-offsets --topic orders --time -6
get-offsets --topic orders --time earliest-pending-upload
get-offsets --topic orders --time -7
get-offsets --topic orders --time 1700000180000
get-offsets --topic orders --time 1700000180001
get-offsets --topic orders --time 0
get-offsets --topic orders --time 9000000000000
get-offsets --topic orders --time soon
get-offsets --topic ledger --time latest
get-offsets --topic ledger --time max-timestamp
"""

GROUPS = """
consumer-groups --list
consumer-groups --list --state
consumer-groups --list --state stable
consumer-groups --list --state Empty,Stable
consumer-groups --list --state nosuch
consumer-groups --list --type
consumer-groups --list --type classic
consumer-groups --list --type Consumer
consumer-groups --list --type nosuch
consumer-groups --list --type --state
consumer-groups --list --state empty --type classic
consumer-groups --describe --group readers
consumer-groups --describe --group readers --offsets
consumer-groups --describe --group readers --offsets --verbose
consumer-groups --describe --group readers --members
consumer-groups --describe --group readers --members --verbose
consumer-groups --describe --group readers --state
consumer-groups --describe --group readers --state --verbose
consumer-groups --describe --group live
consumer-groups --describe --group live --offsets --verbose
consumer-groups --describe --group live --members
consumer-groups --describe --group live --members --verbose
consumer-groups --describe --group live --state
consumer-groups --describe --group live --state --verbose
consumer-groups --describe --group modern
consumer-groups --describe --group modern --offsets --verbose
consumer-groups --describe --group modern --members
consumer-groups --describe --group modern --members --verbose
consumer-groups --describe --group modern --state
consumer-groups --describe --group modern --state --verbose
consumer-groups --describe --group nosuch
consumer-groups --describe --group nosuch --members
consumer-groups --describe --group nosuch --state
consumer-groups --describe --group workers
consumer-groups --describe --group workers --members --verbose
consumer-groups --describe --group workers --state
consumer-groups --describe --group readers --group live
consumer-groups --describe --group readers --group nosuch
consumer-groups --describe --all-groups
consumer-groups --describe --all-groups --offsets --verbose
consumer-groups --describe --all-groups --members --verbose
consumer-groups --describe --all-groups --state
consumer-groups --describe --all-groups --state --verbose
consumer-groups --describe --group readers --members --state
consumer-groups --describe --group readers --topic orders
consumer-groups --describe
consumer-groups --list --group readers
consumer-groups --validate-regex or.*
consumer-groups --validate-regex (
groups --list
groups --list --consumer
groups --list --group-type classic
groups --list --group-type consumer
groups --list --protocol connect
groups --list --group-type classic --protocol consumer
groups --list --share
groups --list --streams
"""

RESET = """
consumer-groups --reset-offsets --group readers --topic orders --to-earliest --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-earliest
consumer-groups --reset-offsets --group readers --topic orders --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-current --dry-run
consumer-groups --reset-offsets --group readers --topic recent --to-current --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-offset 3 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-offset 999 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-offset -5 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-offset x --dry-run
consumer-groups --reset-offsets --group readers --topic orders --shift-by 2 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --shift-by -2 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --shift-by 999 --dry-run
consumer-groups --reset-offsets --group readers --topic recent --shift-by 1 --dry-run
consumer-groups --reset-offsets --group readers --topic recent --by-duration PT1H --dry-run
consumer-groups --reset-offsets --group readers --topic recent --by-duration PT2H30M --dry-run
consumer-groups --reset-offsets --group readers --topic recent --by-duration P1D --dry-run
consumer-groups --reset-offsets --group readers --topic orders --by-duration P1DT1H --dry-run
consumer-groups --reset-offsets --group readers --topic orders --by-duration P30000D --dry-run
consumer-groups --reset-offsets --group readers --topic orders --by-duration 1h --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2023-11-14T22:16:20.000 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2023-11-14T22:16:20.001 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2023-11-14T23:16:20.000+01:00 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2023-11-14T22:16:20.000Z --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2020-01-01T00:00:00.000 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2040-01-01T00:00:00.000 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2020-01-01 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime 2020-01-01T00:00:00 --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-datetime soon --dry-run
consumer-groups --reset-offsets --group readers --topic orders:0,2 --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic orders:0 --topic settings --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic orders:9 --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic orders:x --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic orders:0:1 --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic nosuch --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic nosuch:0 --to-latest --dry-run
consumer-groups --reset-offsets --group readers --all-topics --to-latest --dry-run
consumer-groups --reset-offsets --group readers --all-topics --to-current --export --dry-run
consumer-groups --reset-offsets --group readers --group others --all-topics --to-current --export --dry-run
consumer-groups --reset-offsets --group readers --group others --all-topics --to-earliest --dry-run
consumer-groups --reset-offsets --all-groups --topic orders --to-earliest --dry-run
consumer-groups --reset-offsets --all-groups --all-topics --to-current --export --dry-run
consumer-groups --reset-offsets --group readers --from-file FILES/one.csv --dry-run
consumer-groups --reset-offsets --group readers --group others --from-file FILES/several.csv --dry-run
consumer-groups --reset-offsets --group readers --from-file FILES/several.csv --dry-run
consumer-groups --reset-offsets --group idle-1 --group others --from-file FILES/several.csv --dry-run
consumer-groups --reset-offsets --group readers --group others --from-file FILES/one.csv --dry-run
consumer-groups --reset-offsets --group readers --from-file FILES/bad.csv --dry-run
consumer-groups --reset-offsets --group readers --from-file FILES/empty.csv --dry-run
consumer-groups --reset-offsets --group readers --from-file FILES/nosuch.csv --dry-run
consumer-groups --reset-offsets --group readers --topic orders --dry-run
consumer-groups --reset-offsets --group readers --to-earliest --dry-run
consumer-groups --reset-offsets --topic orders --to-earliest --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-earliest --to-latest --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-earliest --dry-run --execute
consumer-groups --reset-offsets --group readers --all-groups --topic orders --to-earliest --dry-run
consumer-groups --reset-offsets --group readers --topic orders --to-earliest --execute
consumer-groups --describe --group readers
consumer-groups --reset-offsets --group readers --topic orders --to-latest --execute
consumer-groups --reset-offsets --group readers --topic orders --shift-by -3 --execute
consumer-groups --describe --group readers
consumer-groups --reset-offsets --group readers --topic orders:0 --to-offset 6 --execute
consumer-groups --reset-offsets --group readers --topic recent --by-duration PT1H --execute
consumer-groups --reset-offsets --group readers --topic orders:1 --to-datetime 2023-11-14T22:15:00.000 --execute
consumer-groups --reset-offsets --group readers --all-topics --to-current --execute --export
consumer-groups --describe --group readers --verbose
consumer-groups --reset-offsets --group readers --from-file FILES/one.csv --execute
consumer-groups --reset-offsets --group readers --group others --from-file FILES/several.csv --execute --export
consumer-groups --describe --group readers --group others
consumer-groups --reset-offsets --group fresh --topic orders --to-latest --dry-run
consumer-groups --reset-offsets --group fresh --topic orders --to-latest --execute
consumer-groups --describe --group fresh
consumer-groups --reset-offsets --group live --topic orders --to-earliest --execute
consumer-groups --reset-offsets --group modern --topic orders --to-earliest --execute
consumer-groups --reset-offsets --group live --group readers --topic orders --to-earliest --execute
consumer-groups --reset-offsets --group workers --topic orders --to-earliest --execute
consumer-groups --delete-offsets --group readers --topic settings
consumer-groups --delete-offsets --group readers --topic orders:2
consumer-groups --delete-offsets --group readers --topic orders:0 --topic recent
consumer-groups --delete-offsets --group readers --topic nosuch
consumer-groups --delete-offsets --group readers --topic orders:9
consumer-groups --delete-offsets --group live --topic orders
consumer-groups --delete-offsets --group live --topic recent
consumer-groups --delete-offsets --group modern --topic orders
consumer-groups --delete-offsets --group nosuch --topic orders
consumer-groups --delete-offsets --group readers
consumer-groups --describe --group readers --group live
consumer-groups --delete --group idle-1
consumer-groups --delete --group idle-2 --group nosuch
consumer-groups --delete --group live
consumer-groups --delete --group modern --group idle-3
consumer-groups --delete --group readers --topic orders
consumer-groups --delete
consumer-groups --delete --all-groups
consumer-groups --list
"""

TRANSACTIONS = """
transactions list
transactions list --duration-filter 3600000
transactions list --duration-filter 0
transactions list --duration-filter -1
transactions list --transactional-id-pattern tx-[co].*
transactions list --transactional-id-pattern (
transactions describe --transactional-id tx-open
transactions describe --transactional-id tx-committed
transactions describe --transactional-id tx-hanging
transactions describe --transactional-id nosuch
transactions describe
transactions describe-producers --topic ledger --partition 0
transactions describe-producers --topic ledger --partition 0 --broker-id 0
transactions describe-producers --topic orders --partition 0
transactions describe-producers --topic ledger
transactions find-hanging --broker-id 0
transactions find-hanging --topic ledger
transactions find-hanging --topic ledger --partition 0
transactions find-hanging --topic ledger --partition 0 --max-transaction-timeout 0
transactions find-hanging --topic ledger --max-transaction-timeout 120
transactions find-hanging --topic nosuch
transactions find-hanging --partition 0
transactions find-hanging
transactions abort --topic ledger --partition 0 --start-offset 99
transactions abort --topic ledger --partition 0
transactions abort --topic ledger --partition 0 --producer-id 1
transactions abort --topic ledger --partition 0 --start-offset 5
transactions find-hanging --topic ledger
transactions abort --topic ledger --partition 0 --start-offset 4
transactions describe --transactional-id tx-open
transactions describe-producers --topic ledger --partition 0
transactions forceTerminateTransaction --transactional-id tx-open
transactions forceTerminateTransaction --transactionalId nosuch
transactions forceTerminateTransaction --transactionalId tx-open
transactions describe --transactional-id tx-open
transactions nosuch
transactions
get-offsets --topic ledger
"""
