import CLibFuzzer
import Wire
import Glibc
print(DropReason.allCases.count)
exit(0)
