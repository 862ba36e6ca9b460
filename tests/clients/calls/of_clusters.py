"""Calls about configurations, features, brokers, and where partitions lie."""

CONFIGS = """
configs --describe --topic orders
configs --describe --all --topic orders
configs --describe --entity-type topics
configs --describe --entity-type topics --entity-name nosuch
configs --alter --topic spare --add-config retention.ms=7200000,cleanup.policy=[compact,delete]
configs --alter --topic spare --add-config retention.bytes=1
configs --describe --topic spare
configs --alter --topic spare --delete-config retention.ms
configs --alter --topic spare --delete-config nosuch
configs --alter --topic spare --delete-config retention.bytes --add-config segment.ms=600000
configs --alter --topic spare --add-config-file FILES/topic.properties
configs --alter --topic spare --add-config-file FILES/nosuch.properties
configs --describe --topic spare
configs --alter --topic spare --add-config retention.ms=soon
configs --alter --topic spare --add-config nosuch=1
configs --alter --topic spare --add-config retention.ms
configs --alter --topic spare
configs --alter --topic nosuch --add-config retention.ms=1
configs --alter --topic orders --topic spare --add-config retention.ms=1
configs --describe --broker 0
configs --alter --broker 0 --add-config log.cleaner.threads=2,background.threads=9
configs --alter --broker 0 --add-config log.retention.ms=86400000
configs --alter --broker-defaults --add-config log.retention.ms=86400001
configs --describe --broker-defaults
configs --describe --broker 0
configs --describe --entity-type brokers
configs --alter --broker 0 --delete-config log.retention.ms,log.cleaner.threads,background.threads
configs --alter --broker-defaults --delete-config log.retention.ms
configs --alter --broker 0 --add-config node.id=5
configs --alter --broker 0 --add-config log.retention.ms=soon
configs --alter --broker x --add-config log.retention.ms=1
configs --describe --broker 0
configs --alter --user ada --add-config producer_byte_rate=1000,consumer_byte_rate=2000,request_percentage=50
configs --alter --user ada --client c1 --add-config producer_byte_rate=10
configs --alter --user-defaults --add-config controller_mutation_rate=7.5
configs --alter --client c1 --add-config request_percentage=20
configs --alter --client-defaults --add-config consumer_byte_rate=3000
configs --alter --user ada --client-defaults --add-config producer_byte_rate=11
configs --alter --ip 10.0.0.1 --add-config connection_creation_rate=5
configs --alter --ip-defaults --add-config connection_creation_rate=50
configs --alter --ip nosuch.invalid --add-config connection_creation_rate=5
configs --alter --ip 10.0.0.1 --add-config producer_byte_rate=5
configs --alter --user ada --add-config nosuch=1
configs --alter --user ada --add-config producer_byte_rate=many
configs --alter --user ada --add-config producer_byte_rate=-1
configs --describe --entity-type users
configs --describe --user ada
configs --describe --user ada --client c1
configs --describe --user ada --client-defaults
configs --describe --user-defaults
configs --describe --entity-type users --entity-type clients
configs --describe --entity-type clients
configs --describe --client c1
configs --describe --client-defaults
configs --describe --entity-type ips
configs --describe --ip 10.0.0.1
configs --describe --ip-defaults
configs --alter --user ada --delete-config request_percentage
configs --alter --user ada --delete-config request_percentage
configs --describe --user ada
configs --alter --ip 10.0.0.1 --delete-config connection_creation_rate
configs --describe --ip 10.0.0.1
configs --alter --user ada --add-config SCRAM-SHA-256=[iterations=8192,password=pencil]
configs --alter --user ada --add-config SCRAM-SHA-512=[password=other]
configs --describe --user ada
configs --describe --entity-type users
configs --alter --user ada --delete-config SCRAM-SHA-512
configs --alter --user ada --delete-config SCRAM-SHA-512
configs --describe --user ada
configs --alter --group readers --add-config consumer.session.timeout.ms=50000,consumer.heartbeat.interval.ms=6000
configs --describe --group readers
configs --describe --entity-type groups
configs --alter --group readers --add-config consumer.session.timeout.ms=1
configs --alter --group readers --add-config nosuch=1
configs --alter --group readers --delete-config consumer.session.timeout.ms
configs --describe --group readers
configs --describe --broker-logger 99
configs --alter --broker-logger 0 --add-config root=INFO
configs --alter --broker-logger 0 --add-config root=LOUD
configs --alter --broker-logger 0 --add-config no.such.logger=INFO
configs --alter --broker-logger 0 --delete-config root
configs --describe --entity-type nosuch
configs --describe
configs --alter --entity-type topics
"""

CLUSTER = """
features describe
features version-mapping
features version-mapping --release-version 4.0
features version-mapping --release-version 3.9-IV0
features version-mapping --release-version 3.3-IV3
features version-mapping --release-version 9.9
features feature-dependencies --feature transaction.version=2
features feature-dependencies --feature kraft.version=1
features feature-dependencies --feature group.version=1 --feature eligible.leader.replicas.version=1
features feature-dependencies --feature transaction.version=9
features feature-dependencies --feature nosuch=1
features feature-dependencies
features upgrade --dry-run --release-version 4.3
features upgrade --dry-run --release-version 3.9
features upgrade --dry-run --feature transaction.version=2
features upgrade --dry-run --feature transaction.version=1
features upgrade --dry-run --feature transaction.version=9
features upgrade --dry-run --feature group.version=1
features upgrade --dry-run --feature nosuch=1
features upgrade --dry-run --feature transaction.version
features upgrade --dry-run --feature transaction.version=x
features upgrade --dry-run --metadata 4.0-IV0
features upgrade --dry-run --metadata nosuch
features upgrade
features upgrade --release-version 4.0 --feature group.version=1
features downgrade --dry-run --feature transaction.version=1
features downgrade --dry-run --feature transaction.version=0 --feature group.version=0
features downgrade --dry-run --feature transaction.version=2
features downgrade --dry-run --feature metadata.version=24
features downgrade --dry-run --unsafe --feature metadata.version=24
features downgrade --dry-run --feature nosuch=1
features downgrade --dry-run --release-version 4.0
features downgrade --dry-run --metadata 3.3-IV0
features disable --dry-run --feature transaction.version
features disable --dry-run --feature metadata.version
features disable --dry-run --feature nosuch
features disable
features downgrade --feature transaction.version=1
features describe
features upgrade --feature transaction.version=2
features describe
features nosuch
metadata-quorum describe --status
metadata-quorum describe --replication
metadata-quorum describe --replication --human-readable
metadata-quorum describe
metadata-quorum describe --status --replication
metadata-quorum describe --status --human-readable
metadata-quorum remove-controller --controller-id 5 --controller-directory-id AAAAAAAAAAAAAAAAAAAAAQ --dry-run
metadata-quorum
cluster cluster-id
cluster list-endpoints
cluster list-endpoints --include-fenced-brokers
cluster unregister --id 99
cluster unregister
cluster nosuch
cluster
broker-api-versions
broker-api-versions --version
log-dirs --describe --topic-list orders,recent,ledger
log-dirs --describe --topic-list nosuch
log-dirs --describe --topic-list orders --broker-list 0
log-dirs --describe --topic-list orders --broker-list 0,99
log-dirs --describe --topic-list orders --broker-list x
log-dirs --describe
log-dirs
leader-election --election-type preferred --topic orders --partition 0
leader-election --election-type unclean --topic orders --partition 0
leader-election --election-type preferred --topic nosuch --partition 0
leader-election --election-type preferred --topic orders --partition 9
leader-election --election-type preferred --path-to-json-file FILES/elect.json
leader-election --election-type preferred --path-to-json-file FILES/elect-nosuch.json
leader-election --election-type preferred --path-to-json-file FILES/nosuch.json
leader-election --election-type preferred --path-to-json-file FILES/one.csv
leader-election --election-type preferred --all-topic-partitions
leader-election --election-type unclean --all-topic-partitions
leader-election --election-type nosuch --all-topic-partitions
leader-election --election-type preferred --topic orders
leader-election --election-type preferred
leader-election --all-topic-partitions
reassign-partitions --list
reassign-partitions --generate --topics-to-move-json-file FILES/move.json --broker-list 0
reassign-partitions --generate --topics-to-move-json-file FILES/move.json --broker-list 0 --disable-rack-aware
reassign-partitions --generate --topics-to-move-json-file FILES/move.json --broker-list 0,0
reassign-partitions --generate --topics-to-move-json-file FILES/move.json --broker-list 7
reassign-partitions --generate --topics-to-move-json-file FILES/move-nosuch.json --broker-list 0
reassign-partitions --generate --broker-list 0
reassign-partitions --verify --reassignment-json-file FILES/stay.json
reassign-partitions --verify --reassignment-json-file FILES/stay.json --preserve-throttles
reassign-partitions --verify --reassignment-json-file FILES/stay-nosuch.json
reassign-partitions --execute --reassignment-json-file FILES/stay.json
reassign-partitions --execute --reassignment-json-file FILES/away.json
reassign-partitions --execute --reassignment-json-file FILES/stay-nosuch.json
reassign-partitions --execute --reassignment-json-file FILES/stay-twice.json
reassign-partitions --execute --reassignment-json-file FILES/stay-none.json
reassign-partitions --execute --reassignment-json-file FILES/nosuch.json
reassign-partitions --verify --reassignment-json-file FILES/stay.json
reassign-partitions --cancel --reassignment-json-file FILES/stay.json
reassign-partitions --cancel --reassignment-json-file FILES/stay-none.json
reassign-partitions --verify
reassign-partitions
delete-records --offset-json-file FILES/trim.json
get-offsets --topic trimmed --time earliest
delete-records --offset-json-file FILES/trim-far.json
delete-records --offset-json-file FILES/trim-twice.json
delete-records --offset-json-file FILES/trim-compacted.json
delete-records --offset-json-file FILES/trim-none.json
delete-records --offset-json-file FILES/trim-version.json
delete-records --offset-json-file FILES/one.csv
delete-records --offset-json-file FILES/nosuch.json
delete-records --offset-json-file FILES/trim-all.json
get-offsets --topic trimmed --time earliest
delete-records
acls --list
acls --add --allow-principal User:ada --operation Read --topic orders
acls --remove --allow-principal User:ada --operation Read --topic orders --force
"""
