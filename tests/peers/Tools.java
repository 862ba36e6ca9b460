// Kafka's own command-line tools, one call after the other in one virtual machine: most take a tenth of a second, and a machine of
// their own would be a second more. Run by tests/live/in_one.py:
//   java -cp JARS Tools.java
// A line of standard input is a call: the class (several, separated by commas: the first that there is), then its arguments, each
// behind a unit separator. What the tool prints goes to the same streams; a record separator and the status end it on both. A tool
// that ends the whole machine (argparse4j does, on a mistake) ends with it: whoever calls takes that for its status.
import java.io.*;
import java.lang.reflect.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.common.utils.Exit;

public class Tools {
    static final char UNIT = 31, RECORD = 30;

    public static void main(String[] args) throws Exception {
        var calls = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = calls.readLine()) != null; ) {
            int status = call(line.split(String.valueOf(UNIT), -1));
            for (PrintStream stream : List.of(System.out, System.err)) {
                stream.print("\n" + RECORD + status + "\n");
                stream.flush();
            }
        }
        Runtime.getRuntime().halt(0);
    }

    static int call(String[] words) throws Exception {
        var ended = new CompletableFuture<Integer>();
        // Nothing comes behind an exit: the thread stays where it is.
        Exit.Procedure leave = (status, message) -> {
            ended.complete(status);
            new CompletableFuture<Void>().join();
        };
        Exit.setExitProcedure(leave);
        Exit.setHaltProcedure(leave);
        var thread = new Thread(() -> {
            try {
                main(words[0]).invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
                ended.complete(0);
            } catch (InvocationTargetException e) {
                System.err.print("Exception in thread \"main\" ");
                e.getCause().printStackTrace();
                ended.complete(1);
            } catch (ReflectiveOperationException e) {
                e.printStackTrace();
                ended.complete(1);
            }
        }, "main");
        thread.setDaemon(true);
        thread.start();
        return ended.get();
    }

    static Method main(String names) throws ReflectiveOperationException {
        for (String name : names.split(",")) {
            try {
                return Class.forName(name).getMethod("main", String[].class);
            } catch (ClassNotFoundException e) {
                // The next one.
            }
        }
        throw new ClassNotFoundException(names);
    }
}
