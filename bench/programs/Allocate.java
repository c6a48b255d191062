// A server-like program for bench/steady: keeps a table of records, replaces some in every operation (so that the
// collector has steady work), and adds up others. Runs so many operations, after as many seconds of warming up as are
// asked for, and prints "begin" and what they took: java Allocate OPERATIONS WARM_SECONDS
import java.util.Arrays;

public class Allocate {
    static final int RECORDS = 1 << 18;
    static final int REPLACED = 200;  // in one operation, of 400 bytes on average

    static final byte[][] table = new byte[RECORDS][];
    static long state = 1;

    static int next(int bound) {
        state = state * 6364136223846793005L + 1442695040888963407L;
        return (int) ((state >>> 33) % bound);
    }

    static long operate() {
        long sum = 0;
        for (int i = 0; i < REPLACED; i++) {
            byte[] record = new byte[100 + next(600)];
            Arrays.fill(record, (byte) i);
            table[next(RECORDS)] = record;
            byte[] other = table[next(RECORDS)];
            sum += other[0] + other[other.length - 1];
        }
        return sum;
    }

    public static void main(String[] arguments) {
        int operations = Integer.parseInt(arguments[0]);
        long warm = Long.parseLong(arguments[1]) * 1_000_000_000L;
        for (int i = 0; i < RECORDS; i++) table[i] = new byte[100 + next(600)];
        long sum = 0;
        for (long start = System.nanoTime(); System.nanoTime() - start < warm; ) sum += operate();
        System.out.println("begin");
        long[] took = new long[operations];
        long start = System.nanoTime();
        for (int i = 0; i < operations; i++) {
            long before = System.nanoTime();
            sum += operate();
            took[i] = System.nanoTime() - before;
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        Arrays.sort(took);
        System.out.printf("%.6f s, p99 %.6f ms, worst %.6f ms, sum %d%n", seconds,
            took[(int) (operations * 0.99)] / 1e6, took[operations - 1] / 1e6, sum);
    }
}
