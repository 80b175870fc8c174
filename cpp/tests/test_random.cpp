// Philox against the known-answer vectors published with Random123.
#include "expect.hpp"
#include "pymim/random.hpp"

int main() {
  const pymim::Words zeros = pymim::philox({0, 0, 0, 0}, 0);
  EXPECT(zeros.x == 0x6627e8d5 && zeros.y == 0xe169c58d && zeros.z == 0xbc57ac4c &&
         zeros.w == 0x9b00dbd8);
  const uint32_t all = 0xffffffff;
  const pymim::Words ones = pymim::philox({all, all, all, all}, ~uint64_t{0});
  EXPECT(ones.x == 0x408f276d && ones.y == 0x41c83b0e && ones.z == 0xa20bc7c6 &&
         ones.w == 0x6d5451fd);
  return failures;
}
