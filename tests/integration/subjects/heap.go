// Goroutines build maps, slices and linked structures, drop them (the collector has to work) and verify them; how far
// all are is reported as tests/programs/subject.h does it: heap DIR
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

type node struct {
	key     uint64
	content []byte
	sum     uint64
	next    *node
}

func checksum(key uint64, content []byte) uint64 {
	sum := key
	for _, each := range content {
		sum = sum*1099511628211 + uint64(each)
	}
	return sum
}

func newNode(key uint64, next *node) *node {
	content := make([]byte, 64+key%900)
	for i := range content {
		content[i] = byte(key*31 + uint64(i))
	}
	return &node{key, content, checksum(key, content), next}
}

func write(name, text string) {
	file, err := os.OpenFile(os.Args[1]+"/"+name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		os.Exit(99)
	}
	if _, err := file.WriteAt([]byte(fmt.Sprintf("%-255s\n", text)), 0); err != nil {
		os.Exit(99)
	}
	file.Close()
}

func bad(format string, values ...any) {
	write("bad", fmt.Sprintf(format, values...))
	os.Exit(99)
}

var turns [4]atomic.Uint64

func live(self int, tokens <-chan uint64, out chan<- uint64) {
	index := map[uint64]*node{}
	var list *node
	length, key := 0, uint64(self)*1000003
	for turn := uint64(1); ; turn++ {
		for i := 0; i < 50; i++ {
			key++
			list = newNode(key, list)
			index[key%2000] = list
			length++
		}
		if length > 3000 {
			at := list
			for i := 1; i < 1500; i++ {
				at = at.next
			}
			at.next, length = nil, 1500
		}
		seen := 0
		for at := list; at != nil; at = at.next {
			seen++
			if at.next != nil && at.next.key != at.key-1 {
				bad("goroutine %d: a link is wrong", self)
			}
			if turn%16 == 0 && checksum(at.key, at.content) != at.sum {
				bad("goroutine %d: content is wrong", self)
			}
		}
		if seen != length {
			bad("goroutine %d: %d nodes, not %d", self, seen, length)
		}
		if turn%16 == 0 {
			for place, each := range index {
				if each.key%2000 != place || checksum(each.key, each.content) != each.sum {
					bad("the map is wrong at %d", place)
				}
			}
		}
		turns[self].Add(1)
		out <- <-tokens + 1 // and a number goes around through all of them
	}
}

func main() {
	var ring [len(turns)]chan uint64
	for i := range ring {
		ring[i] = make(chan uint64, 1)
	}
	for i := range turns {
		go live(i, ring[i], ring[(i+1)%len(ring)])
	}
	ring[0] <- 1
	var before [len(turns)]uint64
	var collections runtime.MemStats
	for round := 1; ; round++ {
		for i := range turns {
			for turns[i].Load() < before[i]+16 {
				time.Sleep(2 * time.Millisecond)
			}
			before[i] = turns[i].Load()
		}
		runtime.ReadMemStats(&collections)
		if round == 1 {
			write("ready", fmt.Sprint(os.Getpid()))
		}
		write("verdict", fmt.Sprintf("ok %d after %d collections", round, collections.NumGC))
	}
}
