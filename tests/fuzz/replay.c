/* Runs a harness over files: the seeds under `make check`, where there is no libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	SEED_BYTES = 1 << 20
};

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int replay(const char *name)
{
	static uint8_t seed[SEED_BYTES];
	FILE *file = fopen(name, "rb");

	if (!file) {
		perror(name);
		return -1;
	}
	size_t n = fread(seed, 1, sizeof(seed), file);
	(void)fclose(file);
	/* A block of the exact size lets ASan see one byte too far. */
	uint8_t *exact = malloc(n ? n : 1);
	if (!exact)
		return -1;
	for (size_t i = 0; i < n; i++)
		exact[i] = seed[i];
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (replay(argv[i]) < 0)
			return 1;
	}
	(void)printf("%d seeds\n", argc - 1);
	return 0;
}
