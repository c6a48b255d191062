// Threads build linked structures with checksums, change them, drop them (the collector has to work) and verify them;
// how far all are is reported as tests/programs/subject.h does it: java Heap DIR
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

public class Heap {
    static final class Node {
        final long key;
        final byte[] content;
        final long checksum;
        Node next;

        Node(long key, Node next) {
            this.key = key;
            this.next = next;
            content = new byte[64 + (int) (Math.floorMod(key, 800))];
            for (int i = 0; i < content.length; i++) content[i] = (byte) (key * 31 + i);
            checksum = sum();
        }

        long sum() {
            long sum = key;
            for (byte each : content) sum = sum * 1099511628211L + each;
            return sum;
        }
    }

    static String directory;
    static final AtomicLong[] turns = {new AtomicLong(), new AtomicLong(), new AtomicLong()};

    static synchronized void write(String name, String text) {
        try (RandomAccessFile file = new RandomAccessFile(directory + "/" + name, "rw")) {
            file.write(String.format("%-255s%n", text).getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            System.exit(99);
        }
    }

    static void bad(String why) {
        write("bad", why);
        Runtime.getRuntime().halt(99);
    }

    static void live(int self) {
        Map<Long, Node> map = new HashMap<>();
        Node list = null;
        long key = self * 1_000_003L;
        int length = 0;
        for (long turn = 1; ; turn++) {
            for (int i = 0; i < 50; i++) {
                key++;
                list = new Node(key, list);
                map.put(key % 3000, list);
                length++;
            }
            if (length > 4000) {
                Node at = list;
                for (int i = 1; i < 2000; i++) at = at.next;
                at.next = null;
                length = 2000;
            }
            int seen = 0;
            for (Node at = list; at != null; at = at.next, seen++) {
                if (at.next != null && at.next.key != at.key - 1) bad("thread " + self + ": a link is wrong");
                if (turn % 16 == 0 && at.sum() != at.checksum) bad("thread " + self + ": content is wrong");
            }
            if (seen != length) bad("thread " + self + ": " + seen + " nodes, not " + length);
            if (turn % 16 == 0) {
                for (Map.Entry<Long, Node> entry : map.entrySet()) {
                    Node node = entry.getValue();
                    if (node.key % 3000 != entry.getKey() || node.sum() != node.checksum) bad("the map is wrong");
                }
            }
            turns[self].incrementAndGet();
        }
    }

    public static void main(String[] arguments) throws Exception {
        directory = arguments[0];
        for (int i = 0; i < turns.length; i++) {
            int self = i;
            Thread thread = new Thread(() -> live(self), "heap-" + i);
            thread.setDaemon(true);
            thread.start();
        }
        long[] before = new long[turns.length];
        for (long round = 1; ; round++) {
            for (int i = 0; i < turns.length; i++) {
                while (turns[i].get() < before[i] + 16) Thread.sleep(2);
                before[i] = turns[i].get();
            }
            if (round == 1) write("ready", Long.toString(ProcessHandle.current().pid()));
            write("verdict", "ok " + round);
        }
    }
}
