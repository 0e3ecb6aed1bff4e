// SPDX-License-Identifier: MIT
// A heap of maps and arrays that are replaced all the time, by four threads, so that the collector moves
// what lives; in the end every byte of it is summed. What it prints is the same every time.
import java.util.HashMap;

public class Heap {
	static final int KEYS = 4000, ROUNDS = 6;

	// Each thread has a map of its own: nothing depends on who comes first.
	static class Part extends Thread {
		final int number;
		long sum;

		Part(int number) {
			this.number = number;
		}

		public void run() {
			var map = new HashMap<Integer, byte[]>();
			long x = number + 1;

			for (int round = 0; round < ROUNDS; round++)
				for (int i = 0; i < KEYS; i++) {
					x = x * 6364136223846793005L + 1442695040888963407L;
					if ((x >>> 62) != 0 || round == 0) {
						byte[] value = new byte[1000 + (int)(x >>> 40) % 8000];
						for (int at = 0; at < value.length; at += 61)
							value[at] = (byte)(x >>> (at & 31));
						map.put(i, value);
					}
				}
			for (int i = 0; i < KEYS; i++)
				for (byte b : map.get(i))
					sum = sum * 31 + b;
		}
	}

	public static void main(String[] args) throws Exception {
		var parts = new Part[4];

		for (int i = 0; i < parts.length; i++)
			(parts[i] = new Part(i)).start();
		for (var part : parts) {
			part.join();
			System.out.println("part " + part.number + ": " + part.sum);
		}
	}
}
