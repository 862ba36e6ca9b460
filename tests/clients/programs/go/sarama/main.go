// The round trip by Sarama: BOOTSTRAP TOPIC.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	records  = 500
	patience = 60 * time.Second
)

var codecs = []sarama.CompressionCodec{
	sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
}

func check(holds bool, what string, arguments ...any) {
	if !holds {
		fmt.Printf("NOT as it should be: "+what+"\n", arguments...)
		os.Exit(1)
	}
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	return config
}

func produce(servers []string, topic string) {
	for _, codec := range codecs {
		config := config()
		config.Producer.Compression = codec
		producer, err := sarama.NewSyncProducer(servers, config)
		check(err == nil, "producer: %v", err)
		var sent []*sarama.ProducerMessage
		for n := range records {
			sent = append(sent, &sarama.ProducerMessage{
				Topic: topic, Key: sarama.StringEncoder(fmt.Sprintf("k%d", n%10)),
				Value:   sarama.StringEncoder(fmt.Sprintf("%s %d naïve 北京", codec, n)),
				Headers: []sarama.RecordHeader{{Key: []byte("client"), Value: []byte("sarama")}},
			})
		}
		err = producer.SendMessages(sent)
		check(err == nil, "produce, %s: %v", codec, err)
		check(producer.Close() == nil, "close")
	}
	fmt.Println("ok: produced")
}

type place struct {
	partition int32
	offset    int64
}

type group struct {
	lock   sync.Mutex
	seen   map[place]bool
	shares [2]int
}

func (it *group) isWhole() bool {
	it.lock.Lock()
	defer it.lock.Unlock()
	return len(it.seen) == records*len(codecs) && it.shares[0] > 0 && it.shares[1] > 0 && it.shares[0]+it.shares[1] == 3
}

type member struct {
	*group
	number int
}

func (it member) Setup(session sarama.ConsumerGroupSession) error {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.shares[it.number] = 0
	for _, partitions := range session.Claims() {
		it.shares[it.number] += len(partitions)
	}
	return nil
}

func (it member) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	return nil
}

func (it member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, isOpen := <-claim.Messages():
			if !isOpen {
				return nil
			}
			header := message.Headers[0]
			check(string(header.Key) == "client" && string(header.Value) == "sarama", "a header is %v", header)
			it.lock.Lock()
			it.seen[place{message.Partition, message.Offset}] = true
			it.lock.Unlock()
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func consume(servers []string, topic string) {
	ctx, stop := context.WithCancel(context.Background())
	all := &group{seen: map[place]bool{}}
	var running sync.WaitGroup
	for number := range 2 {
		joined, err := sarama.NewConsumerGroup(servers, topic, config())
		check(err == nil, "group: %v", err)
		running.Go(func() {
			for ctx.Err() == nil {
				err := joined.Consume(ctx, []string{topic}, member{all, number})
				check(err == nil, "consume: %v", err)
			}
			check(joined.Close() == nil, "close")
		})
	}
	for until := time.Now().Add(patience); !all.isWhole(); time.Sleep(100 * time.Millisecond) {
		check(time.Now().Before(until), "%d records were seen, the shares are %v", len(all.seen), all.shares)
	}
	shares := all.shares
	stop()
	running.Wait()
	fmt.Printf("ok: two members share %v and see everything\n", shares)
}

func main() {
	servers, topic := []string{os.Args[1]}, os.Args[2]
	admin, err := sarama.NewClusterAdmin(servers, config())
	check(err == nil, "admin: %v", err)
	err = admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}, false)
	check(err == nil, "create: %v", err)
	produce(servers, topic)
	consume(servers, topic)
	committed, err := admin.ListConsumerGroupOffsets(topic, map[string][]int32{topic: {0, 1, 2}})
	check(err == nil, "offsets: %v", err)
	var sum int64
	for _, it := range committed.Blocks[topic] {
		sum += it.Offset
	}
	check(sum == int64(records*len(codecs)), "%d are committed", sum)
	fmt.Println("ok: all is committed")
}
