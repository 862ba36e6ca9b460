// The round trip by franz-go: BOOTSTRAP TOPIC.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	records  = 500
	patience = 60 * time.Second
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func check(holds bool, what string, arguments ...any) {
	if !holds {
		fmt.Printf("NOT as it should be: "+what+"\n", arguments...)
		os.Exit(1)
	}
}

func client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(os.Args[1]))...)
	check(err == nil, "client: %v", err)
	return client
}

func produce(ctx context.Context, topic string) {
	for name, codec := range codecs {
		producer := client(kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic))
		var sent []*kgo.Record
		for n := range records {
			sent = append(sent, &kgo.Record{
				Key: fmt.Appendf(nil, "k%d", n%10), Value: fmt.Appendf(nil, "%s %d naïve 北京", name, n),
				Headers: []kgo.RecordHeader{{Key: "client", Value: []byte("franz-go")}},
			})
		}
		err := producer.ProduceSync(ctx, sent...).FirstErr()
		check(err == nil, "produce, %s: %v", name, err)
		producer.Close()
	}
	fmt.Println("ok: produced")
}

func consume(ctx context.Context, topic string) {
	type place struct {
		partition int32
		offset    int64
	}
	seen, shares := map[place]bool{}, []int{}
	var members [2]*kgo.Client
	for number := range members {
		members[number] = client(kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	for len(seen) < records*len(codecs) || len(shares) != 2 || shares[0]*shares[1] != 2 {
		check(ctx.Err() == nil, "%d records were seen, the shares are %v", len(seen), shares)
		for _, member := range members {
			poll, stop := context.WithTimeout(ctx, 200*time.Millisecond)
			fetches := member.PollFetches(poll)
			stop()
			fetches.EachRecord(func(record *kgo.Record) {
				header := record.Headers[0]
				check(header.Key == "client" && string(header.Value) == "franz-go", "a header is %v", header)
				seen[place{record.Partition, record.Offset}] = true
			})
			if fetches.NumRecords() > 0 {
				err := member.CommitUncommittedOffsets(ctx)
				check(err == nil, "commit: %v", err)
			}
		}
		described, err := kadm.NewClient(members[0]).DescribeGroups(ctx, topic)
		check(err == nil, "describe: %v", err)
		shares = nil
		for _, member := range described[topic].Members {
			assigned, _ := member.Assigned.AsConsumer()
			share := 0
			for _, it := range assigned.Topics {
				share += len(it.Partitions)
			}
			shares = append(shares, share)
		}
	}
	for _, member := range members {
		member.Close()
	}
	fmt.Printf("ok: two members share %v and see everything\n", shares)
}

func main() {
	ctx, stop := context.WithTimeout(context.Background(), 3*patience)
	defer stop()
	topic := os.Args[2]
	admin := kadm.NewClient(client())
	_, err := admin.CreateTopic(ctx, 3, 1, nil, topic)
	check(err == nil, "create: %v", err)
	produce(ctx, topic)
	consume(ctx, topic)
	committed, err := admin.FetchOffsets(ctx, topic)
	check(err == nil, "offsets: %v", err)
	ends, err := admin.ListEndOffsets(ctx, topic)
	check(err == nil, "ends: %v", err)
	var sum, end int64
	committed.Each(func(it kadm.OffsetResponse) { sum += it.At })
	ends.Each(func(it kadm.ListedOffset) { end += it.Offset })
	check(sum == end && end == int64(records*len(codecs)), "%d committed of %d", sum, end)
	fmt.Println("ok: all is committed")
}
