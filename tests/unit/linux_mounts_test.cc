#include "linux/mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast {
namespace {

using testing::Contains;
using testing::Field;

TEST(MountsTest, LinesAreTakenApartAndDecoded) {
  const Result<std::vector<Mount>> mounts = ParseMounts(
      "71 40 0:43 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/up\\040per,workdir=/w\n"
      "72 71 254:0 /srv/a\\134b /data rw shared:7 master:3 - ext4 /dev/vda rw\n");
  ASSERT_TRUE(mounts) << mounts.error().message;
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_EQ(mounts->at(0).point, "/");
  EXPECT_EQ(mounts->at(0).type, "overlay");
  EXPECT_EQ(mounts->at(0).file_system_options, "rw,lowerdir=/l,upperdir=/up per,workdir=/w");
  EXPECT_EQ(mounts->at(1).root, "/srv/a\\b");
  EXPECT_EQ(mounts->at(1).point, "/data");
  EXPECT_EQ(mounts->at(1).type, "ext4");
}

TEST(MountsTest, WhatIsCutOffIsRefused) {
  EXPECT_FALSE(ParseMounts("71 40 0:43 / / rw,relatime\n"));
  EXPECT_FALSE(ParseMounts("nonsense\n"));
}

TEST(MountsTest, OurOwn) {
  const Result<std::vector<Mount>> mounts = ReadMounts(::getpid());
  ASSERT_TRUE(mounts);
  EXPECT_THAT(*mounts, Contains(Field(&Mount::point, "/")));
  EXPECT_THAT(*mounts, Contains(Field(&Mount::type, "proc")));
}

}  // namespace
}  // namespace holdfast
