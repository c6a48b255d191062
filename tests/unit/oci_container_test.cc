#include "oci/container.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class BundleTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "/holdfast-bundle-XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    path_ = fs::canonical(path);
  }
  void TearDown() override { fs::remove_all(path_); }
  void Write(const std::string& config) const { std::ofstream(path_ / "config.json") << config; }

  fs::path path_;
};

TEST(ContainerIdTest, IsNoPath) {
  for (const char* id : {"web", "0a1b", "k8s_web.1+x-2"}) EXPECT_TRUE(ValidateContainerId(id)) << id;
  for (const char* id : {"", ".", "..", "../x", "a/b", "a b", "-x", "a\n"}) {
    EXPECT_FALSE(ValidateContainerId(id)) << id;
  }
}

TEST_F(BundleTest, RootFileSystemBesideItsConfiguration) {
  fs::create_directory(path_ / "rootfs");
  Write(R"({"root": {"path": "rootfs"}})");
  const Result<Bundle> bundle = ReadBundle(path_);
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(bundle->rootfs, path_ / "rootfs");
  EXPECT_EQ(bundle->path, path_);
}

TEST_F(BundleTest, RootFileSystemElsewhere) {
  fs::create_directories(path_ / "elsewhere/root");
  Write(R"({"root": {"path": ")" + (path_ / "elsewhere/root").string() + R"("}})");
  const Result<Bundle> bundle = ReadBundle(path_);
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(bundle->rootfs, path_ / "elsewhere/root");
}

TEST_F(BundleTest, WhatIsMissingOrMakesNoSenseIsSaid) {
  EXPECT_EQ(ReadBundle(path_).error().kind, ErrorKind::kNotFound);
  Write("{");
  EXPECT_EQ(ReadBundle(path_).error().kind, ErrorKind::kUsage);
  Write(R"({"root": {}})");
  EXPECT_EQ(ReadBundle(path_).error().kind, ErrorKind::kUsage);
  Write(R"({"root": {"path": "rootfs"}})");
  EXPECT_EQ(ReadBundle(path_).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadBundle(path_ / "nowhere").error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace holdfast
